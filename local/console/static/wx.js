// wx as far as the kit and the demo page need it, on a browser. Login codes and taps come from the
// simulated WeChat. Each call behaves as its page on developers.weixin.qq.com says.

import { act } from './acts.js'

export function makeWx({ onToast }) {
  const storage = new Map()
  let sessionKeyAlive = false
  let loseReply = false

  return {
    // miniprogram/dev/api/open-api/login/wx.login.html
    login({ success, fail }) {
      act('login').then(({ code }) => {
        sessionKeyAlive = true
        success({ code, errMsg: 'login:ok' })
      }, error => fail({ errMsg: `login:fail ${error.message}` }))
    },

    // miniprogram/dev/api/open-api/login/wx.checkSession.html: it does not know of codes that were
    // got elsewhere.
    checkSession({ success, fail }) {
      queueMicrotask(() => {
        if (sessionKeyAlive) success({ errMsg: 'checkSession:ok' })
        else fail({ errMsg: 'checkSession:fail session time out, need relogin', errCode: -13001 })
      })
    },

    // miniprogram/dev/api/network/request/wx.request.html: any HTTP status is a success.
    request({ url, data, header, method = 'GET', success, fail }) {
      const stop = new AbortController()
      const answered = async () => {
        const answer = await fetch(url, {
          method,
          headers: { 'content-type': 'application/json', ...header },
          body: data === undefined ? undefined : JSON.stringify(data),
          signal: stop.signal,
        })
        const text = await answer.text()
        if (loseReply) {
          // The server has done the work; this phone never hears of it.
          loseReply = false
          await act('reply_lost')
          throw new Error('the reply was lost')
        }
        return {
          errMsg: 'request:ok',
          statusCode: answer.status,
          header: Object.fromEntries(answer.headers),
          data: parsed(text),
        }
      }
      answered().then(success, ({ message }) => {
        fail({ errMsg: `request:fail ${message}`, errno: 600001 })
      })
      return { abort: () => stop.abort() }
    },

    // miniprogram/dev/api/storage/wx.getStorageSync.html and its siblings
    getStorageSync: key => (storage.has(key) ? JSON.parse(storage.get(key)) : ''),
    setStorageSync: (key, value) => storage.set(key, JSON.stringify(value)),
    removeStorageSync: key => storage.delete(key),

    // miniprogram/dev/api/ui/interact/wx.showToast.html
    showToast: ({ title }) => onToast(title),

    /** The answer to the next request gets lost on its way. */
    loseNextReply() {
      loseReply = true
    },
  }
}

/** A tap on the phone-number button that the user agrees to: what bindgetphonenumber gets. */
export async function tap() {
  return { detail: { errMsg: 'getPhoneNumber:ok', ...await act('tap') } }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
