// The sequence diagram: one row per message, in the order in which they passed.

import { element } from './dom.js'
import { NOTES, why } from './why.js'
import { said, word } from './words.js'

const CONDITION = 'ConditionalCheckFailedException' // no fault: somebody was here before
const LANES = { phone: 0, api: 1, dynamodb: 2, secretsmanager: 2, sqs: 2, lambda: 2, wechat: 3 }

export function makeDiagram(root) {
  let parts = [] // { name, rows: [{ number, message, open }] }
  let newest = 0
  const waiting = []

  function begin(name) {
    parts.push({ name, rows: [] })
    show()
  }

  function add(message, number) {
    newest = number
    if (!parts.length) parts.push({ name: 'open', rows: [] })
    const part = parts.at(-1)
    const row = { number, message, open: false }
    part.rows.push(row)
    if (part.body) {
      part.body.append(rowOf(row, part))
      part.heading.replaceChildren(...headingOf(part))
    }
    if (message.name === 'reply_lost') show() // marks the answer above
    else follow()
    for (const each of waiting.splice(0)) each()
  }

  /** Wait until a message is here. */
  async function reached(number) {
    while (newest < number) await new Promise(resolve => waiting.push(resolve))
  }

  function clear() {
    parts = []
    show()
  }

  function fail(error) {
    root.append(element('p', { class: 'diagram__failure' }, word('failed') + error.message))
  }

  function show() {
    if (!parts.length) {
      root.replaceChildren(element('p', { class: 'diagram__empty' }, word('empty')))
      return
    }
    root.replaceChildren(...parts.map(part => {
      part.heading = element('h2', { class: 'part__name' }, headingOf(part))
      part.body = element('ol', { class: 'part__rows' }, part.rows.map(row => rowOf(row, part)))
      return element('section', { class: 'part', 'data-scene': part.name }, part.heading, part.body)
    }))
    follow()
  }

  function follow() {
    root.parentElement.scrollTop = root.parentElement.scrollHeight
  }

  /** Where the page is narrow, the diagram is below what was pressed. */
  function reveal() {
    if (matchMedia('(max-width: 760px)').matches) root.parentElement.scrollIntoView()
  }

  return { begin, add, reached, clear, fail, show, reveal }
}

function headingOf({ name, rows }) {
  const exchanges = rows.filter(({ message }) => isExchange(message)).length
  const counted = (what, n) => word(what).replaceAll('{n}', n)
  return [
    element('span', {}, word(name)),
    exchanges > 0 && element('span', { class: 'part__fact' }, counted('exchanges', exchanges)),
    element('span', { class: 'part__count' }, counted('messages', rows.length)),
  ].filter(Boolean)
}

function isExchange({ name, kind, outcome }) {
  return kind === 'call' && name === 'getPhoneNumber' && !outcome
}

/** The calls of the same request that passed before this row. */
function askedBefore(row, part) {
  const { request } = row.message
  return part.rows.filter(each => each.number < row.number && each.message.request === request)
    .map(each => each.message)
}

function rowOf(row, part) {
  const { message } = row
  const lost = message.kind === 'answer' && isLost(row, part)
  const bad = message.outcome && message.outcome !== CONDITION
  const details = element('div', { class: 'details', hidden: !row.open }, detailsOf(message))
  const button = element('button', {
    type: 'button',
    class: 'message',
    'aria-expanded': String(row.open),
    onclick() {
      row.open = !row.open
      details.hidden = !row.open
      button.setAttribute('aria-expanded', String(row.open))
    },
  },
  element('span', { class: 'strip' }, stripOf(message, lost)),
  element('span', { class: 'why' }, said(why(message, askedBefore(row, part)))))
  const kinds = [`row_${message.kind}`, `lane_${message.lane}`, bad && 'row_bad',
    lost && 'row_lost', message.request && 'row_working']
  return element('li', {
    class: ['row', ...kinds].filter(Boolean).join(' '),
    'data-name': message.name,
    'data-kind': message.kind,
    'data-target': message.target,
    'data-outcome': message.outcome,
  }, button, details)
}

/** Whether the next thing that happens on the phone is that this answer did not come. */
function isLost(row, part) {
  const later = part.rows.filter(({ number }) => number > row.number)
  return later.length > 0 && later[0].message.name === 'reply_lost'
}

function stripOf(message, lost) {
  const { kind } = message
  const other = LANES[message.lane]
  if (kind === 'note') {
    return [place(element('span', { class: 'note' }, said(NOTES[message.name])), other)]
  }
  if (kind === 'phone') {
    return [
      text(0, title(message)),
      arrow(0, 3),
      answerLine(0, 3, chips(message.got, GOT)),
    ]
  }
  if (kind === 'request') {
    return [
      text(0, title(message), chips(message.sent, SENT)),
      arrow(0, 1),
      place(element('span', { class: 'lambda' }, `λ ${message.function}`), 1),
    ]
  }
  if (kind === 'push') {
    return [
      text(1, title(message)),
      arrow(3, 1),
      place(element('span', { class: 'lambda' }, `λ ${message.function}`), 1),
    ]
  }
  if (kind === 'heard') {
    return [
      text(1, element('b', { class: 'status' }, message.status), ' ', time(message),
        message.got && element('code', { class: 'code' }, message.got)),
      arrow(1, 3),
    ]
  }
  if (kind === 'work') {
    return [place(element('span', { class: 'lambda' }, `λ ${message.function}`), 1)]
  }
  if (kind === 'answer') {
    return [
      text(0, element('b', { class: 'status' }, message.status), ' ', time(message),
        message.outcome && element('code', { class: 'code' }, message.outcome),
        chips(message.got, GOT),
        lost && element('span', { class: 'lost' }, `✕ ${word('lostOnTheWay')}`)),
      arrow(1, 0),
    ]
  }
  return [
    text(1, title(message), message.target && element('span', { class: 'target' }, message.target),
      message.lane === 'wechat' && chips(message.sent, SENT)),
    arrow(1, other),
    answerLine(1, other, result(message), time(message)),
  ]
}

const title = ({ name }) => element('b', { class: 'name' }, name)

function time({ milliseconds }) {
  if (milliseconds === null) return null
  const digits = milliseconds < 10 ? 1 : 0
  return element('span', { class: 'time' }, `${milliseconds.toFixed(digits)} ms`)
}

function text(lane, ...children) {
  return place(element('span', { class: 'text' }, children), lane)
}

function arrow(from, to) {
  const points = from < to ? 'arrow_right' : 'arrow_left'
  const made = place(element('span', { class: `arrow ${points}` }), Math.min(from, to))
  made.style.setProperty('--span', Math.abs(to - from))
  return made
}

function answerLine(from, to, ...children) {
  const back = arrow(to, from)
  back.classList.add('arrow_back')
  // Beside the lane where there is room, so that the rows stay low.
  const beside = to === LANES.dynamodb
  return element('span', { class: beside ? 'back back_beside' : 'back' }, back,
    text(beside ? to : from, children))
}

function place(made, lane) {
  made.style.setProperty('--lane', lane)
  return made
}

// What a row shows of what was carried: the first of these that are there.
const SENT = ['Authorization', 'js_code', 'code', 'encryptedData', 'iv', 'secret', 'access_token',
  'openid']
const GOT = ['errcode', 'vaild', 'code', 'encryptedData', 'openid', 'session_key', 'access_token',
  'token', 'purePhoneNumber', 'sessionKeyValid', 'title']
const CHIPS = 3

function chips(carried, names) {
  const fields = { ...carried, ...(carried && carried.phone_info), ...(carried && carried.data) }
  return names.filter(name => fields[name] !== undefined && fields[name] !== 0 &&
      !(name === 'code' && fields.action))
    .slice(0, CHIPS)
    .map(name => element('code', { class: 'chip' },
      name === 'Authorization' ? '' : element('span', { class: 'chip__name' }, labelOf(name)),
      String(fields[name])))
}

/** The name of a field as it is; one looks like a slip of ours. */
const labelOf = name => (name === 'vaild' ? word(name) : name)

function isKept(got) {
  return Boolean(got && got.Item && got.Item.sealed)
}

/** How a call ended, in a word or two. */
function result(message) {
  const { name, lane, outcome, got } = message
  if (lane === 'wechat') return chips(got, GOT)
  if (lane === 'lambda') return outcome || word(got && got.refuse ? 'refused' : 'accepted')
  if (lane === 'secretsmanager') return outcome || word('found')
  if (lane === 'sqs') return outcome || word('queued')
  if (outcome === CONDITION) return word(isKept(got) ? 'kept' : 'taken')
  if (outcome) return outcome
  if (name === 'GetItem') return word(got && got.Item ? 'found' : 'missing')
  if (name === 'Query') return `${((got && got.Items) || []).length} ${word('keys')}`
  return word(name.startsWith('Delete') ? 'deleted' : 'written')
}

function detailsOf({ sent, got, at, status, milliseconds, kind, explained }) {
  const facts = [new Date(at * 1000).toLocaleTimeString(), status && `HTTP ${status}`,
    milliseconds !== null && `${milliseconds.toFixed(1)} ms`].filter(Boolean).join(' · ')
  const block = (name, body) => element('div', { class: 'details__block' },
    element('h3', {}, word(name)),
    element('pre', { tabindex: 0 }, body ? JSON.stringify(body, null, 2) : word('nothing')))
  return [
    element('p', { class: 'details__facts' }, facts),
    explained && element('p', { class: 'details__explained' }, said(explained)),
    element('div', { class: 'details__blocks' },
      ['request', 'call', 'push'].includes(kind) && block('sent', sent),
      ['phone', 'call', 'answer', 'heard'].includes(kind) && block('got', got)),
  ]
}
