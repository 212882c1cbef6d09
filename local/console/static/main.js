// The console: what can be pressed, and the feed of what then really passed.

import { act, latest, somebodyNew, state as consoleState } from './acts.js'
import { makeDiagram } from './diagram.js'
import { element } from './dom.js'
import { startPhone } from './phone.js'
import { language, speak, word } from './words.js'

const diagram = makeDiagram(document.querySelector('.diagram'))
const screen = document.querySelector('.phone__screen')
const toast = document.querySelector('.toast')
const { watchOnly } = await consoleState() // with the real WeChat: its phones are real, too
let phone

const tapNew = async () => phone.page.onPhoneNumber(await phone.tap())
const tapOld = async () => phone.page.onOldPhoneNumber(await phone.tap())

function newPhone() {
  toast.hidden = true
  if (phone) phone.page.onUnload()
  phone = startPhone(screen, toast, name => play(name, ON_THE_PHONE[name]))
  return phone.open()
}

async function heal() {
  await act('heal')
  showBusy(false)
}

// What the buttons of the mini-program's own page do.
const ON_THE_PHONE = {
  new: tapNew,
  old: tapOld,
  retry: () => phone.page.onRetry(),
  check: () => phone.page.onCheckSession(),
  logout: () => phone.page.onLogout(),
}

// What a person would do, and what may happen to them. Each ends when the page has come to rest.
const SCENES = {
  people: {
    open: newPhone,
    new: tapNew,
    old: tapOld,
    refuse: async () => {
      await act('refused')
      await phone.page.onPhoneNumber({ detail: { errMsg: 'getPhoneNumber:fail user deny' } })
    },
    twice: async () => {
      const event = await phone.tap()
      await act('tapped_twice')
      await Promise.all([phone.page.onPhoneNumber(event), phone.page.onPhoneNumber(event)])
    },
  },
  mishaps: {
    lost: () => {
      phone.wx.loseNextReply()
      return tapNew()
    },
    expired: () => act('expire_sessions').then(tapNew),
    replaced: () => act('replace_session_key').then(tapOld),
    dead: () => act('kill_access_token').then(tapNew),
    busy: () => act('make_wechat_busy').then(() => {
      showBusy(true)
      return tapNew()
    }),
    secured: () => act('api_security').then(({ on }) => {
      showPressed('secured', on)
      return tapNew()
    }),
    withdrawn: () => act('withdraw_consent'),
    merchant: () => act('merchant').then(({ on }) => showPressed('merchant', on)),
  },
  again: {
    heal: () => heal().then(() => phone.page.onShow()),
    reset: async () => {
      await heal()
      await diagram.reached(await latest())
      diagram.clear()
      somebodyNew()
      diagram.begin('open')
      await newPhone()
    },
  },
}

let playing = false
let busy = false // whether WeChat is
let gone = false // whether the stack is
const pressed = { secured: false, merchant: false } // what is on until it is pressed again

/** Play one scene at a time, under a heading of its own. */
async function play(name, scene) {
  if (playing || gone) return
  playing = true
  document.body.dataset.busy = 'true'
  diagram.begin(name)
  try {
    await scene()
    await diagram.reached(await latest())
  } catch (error) {
    diagram.fail(error)
  } finally {
    playing = false
    document.body.dataset.busy = 'false'
  }
}

function showScenes() {
  if (watchOnly) return
  const button = ([name, scene]) => element('button', {
    type: 'button',
    class: 'scene',
    'data-scene': name,
    title: word(`${name}Hint`),
    disabled: gone,
    onclick: () => {
      play(name, scene)
      diagram.reveal()
    },
  }, word(name))
  const group = ([name, scenes]) => element(
    'div',
    { class: `scenes__group scenes__group_${name}`, role: 'group', 'aria-label': word(name) },
    element('span', { class: 'scenes__name', 'aria-hidden': 'true' }, word(name)),
    Object.entries(scenes).map(button)
  )
  document.querySelector('.scenes').replaceChildren(...Object.entries(SCENES).map(group))
  showBusy(busy)
  for (const [name, is] of Object.entries(pressed)) showPressed(name, is)
}

function showBusy(is) {
  busy = is
  if (watchOnly) return
  document.querySelector('[data-scene=busy]').setAttribute('aria-pressed', String(busy))
}

function showPressed(name, is) {
  pressed[name] = is
  document.querySelector(`[data-scene=${name}]`).setAttribute('aria-pressed', String(is))
}

function show() {
  document.documentElement.lang = language
  document.title = `${word('title')} · ${word('console')}`
  for (const each of document.querySelectorAll('[data-word]')) {
    each.textContent = word(each.dataset.word)
  }
  for (const each of document.querySelectorAll('[data-label]')) {
    each.setAttribute('aria-label', word(`label_${each.dataset.label}`))
  }
  const other = document.querySelector('.language')
  other.textContent = language === 'en' ? '简体中文' : 'English'
  other.lang = language === 'en' ? 'zh-CN' : 'en'
  showScenes()
  diagram.show()
}

document.querySelector('.language').addEventListener('click', () => {
  speak(language === 'en' ? 'zh-CN' : 'en')
  show()
  if (phone) phone.speak()
})

if (watchOnly) {
  document.body.classList.add('watch-only')
  document.body.dataset.busy = 'false'
  document.querySelector('.top__hint').dataset.word = 'watchHint'
  diagram.begin('real')
}
show()
const feed = new EventSource('/_console/events')
const live = document.querySelector('.live')
const state = name => {
  live.dataset.state = name
  live.lastElementChild.dataset.word = name
  live.lastElementChild.textContent = word(name)
}
feed.addEventListener('message', ({ data, lastEventId }) => {
  diagram.add(JSON.parse(data), Number(lastEventId))
})
const showGone = is => {
  gone = is
  document.querySelector('.gone').hidden = !gone
  screen.inert = gone
  for (const each of document.querySelectorAll('.scene')) each.disabled = gone
  state(gone ? 'disconnected' : 'connected')
}
feed.addEventListener('error', () => showGone(true))
feed.addEventListener('open', () => {
  if (gone) showBusy(false) // another WeChat
  showGone(false)
  if (!phone && !watchOnly) play('open', newPhone)
})
