// The phone: the demo's own page with the real kit, on a wx that a browser can be.

import kit from './kit/index.js'
import traced from './demo/trace.js'
import { element } from './dom.js'
import { inLanguage, language, word } from './words.js'
import { makeWx, tap } from './wx.js'

const app = { messages: [] } // what getApp() gives the page
let definition

globalThis.getApp = () => app
globalThis.Component = given => {
  definition = given
}
await import('./demo/pages/index/index.js')

/** Start the mini-program on a phone that has never seen it; `press` is told what was pressed. */
export function startPhone(screen, toast, press) {
  let hideToast
  const wx = makeWx({
    onToast(title) {
      toast.textContent = inLanguage(title)
      toast.hidden = false
      clearTimeout(hideToast)
      hideToast = setTimeout(() => {
        toast.hidden = true
      }, 2500)
    },
  })
  globalThis.wx = wx
  const speak = () => {
    app.auth = kit.createAuth({
      baseUrl: location.origin,
      language,
      wx: traced(wx, message => {
        app.messages = [message, ...app.messages.filter(({ id }) => id !== message.id)]
        if (app.messagesChanged) app.messagesChanged(app.messages)
      }),
    })
  }
  app.messages = []
  app.simulatedPhone = { tap }
  speak()

  const page = {
    ...definition.methods,
    data: structuredClone(definition.data),
    setData(changes) {
      Object.assign(this.data, changes)
      this.show()
    },
    show() {
      screen.replaceChildren(...view(this.data, press))
    },
  }
  page.show()

  return {
    wx,
    page,
    tap,
    /** onLaunch and onLoad: log in ahead of any tap. */
    open() {
      app.auth.login().catch(() => {})
      return page.onLoad()
    },
    /** The kit's titles are in the language it was made with. */
    speak() {
      speak()
      page.show()
    },
  }
}

// demo/pages/index/index.wxml
function view({ login, phone, busy, problem, messages }, press) {
  const button = (name, kind, label) => element('button', {
    type: 'button',
    class: `weui-btn weui-btn_${kind} ${name}`,
    disabled: busy,
    onclick: () => press(name),
  }, label)
  return [
    element('div', { class: 'weui-form' },
      element('div', { class: 'weui-form__title' }, word('page')),
      element('div', { class: 'weui-form__desc' }, word('pageHint'))),
    element('div', { class: 'weui-cells' },
      cell(word('loginState'), inLanguage(login.text), `login ${login.ok ? 'login_ok' : ''}`),
      cell(word('number'), phone || word('noNumber'), 'number')),
    problem && element('div', { class: 'problem' },
      element('div', { class: 'problem__title' }, inLanguage(problem.title)),
      element('div', { class: 'problem__hint' }, problem.hint),
      problem.retry && button('retry', 'default weui-btn_mini', word('retry'))),
    element('div', { class: 'weui-btn-area' },
      button('new', 'primary', word('newButton')),
      button('old', 'default', word('oldButton')),
      element('div', { class: 'links' },
        button('check', 'link', word('check')), button('logout', 'link', word('logout')))),
    element('div', { class: 'weui-cells__title' }, word('trace')),
    element('div', { class: 'weui-cells' }, messages.map(({ name, status, time, ok }) => (
      element('div', { class: 'weui-cell trace' },
        element('span', { class: 'weui-cell__bd' }, name),
        element('span', { class: ok ? 'trace__status' : 'trace__status trace__status_warn' },
          inLanguage(status)),
        element('span', { class: 'trace__time' }, time || ''))))),
  ].filter(Boolean)
}

function cell(name, value, kind) {
  return element('div', { class: 'weui-cell' },
    element('div', { class: 'weui-cell__bd' }, name),
    element('div', { class: `weui-cell__ft ${kind}` }, value))
}
