// One person's phone: wx as miniprogram-simulate publishes it, and in its place, where that does
// nothing (it answers every request with {}, every login with the same code, and stores nothing),
// a double that behaves as WeChat's pages say. The pages stand beside each call.

const http = require('node:http')

const simulation = require('./simulation')

let phones = 0

/** A phone of somebody new. Their login codes and taps come from the simulated WeChat. */
function startPhone(stack) {
  const phone = `person-${process.pid}-${phones += 1}`
  const storage = new Map()
  const calls = [] // what the mini-program asked of wx, in order
  const toasts = []
  let sessionKeyAlive = false

  const ask = (route, more) => stack.wechat('POST', route, { phone, ...more })

  const double = {
    // miniprogram/dev/api/open-api/login/wx.login.html: a code that lives five minutes.
    login({ success, fail }) {
      calls.push('wx.login')
      ask('/_phone/login').then(({ code }) => {
        sessionKeyAlive = true
        success({ code, errMsg: 'login:ok' })
      }, error => fail({ errMsg: `login:fail ${error.message}` }))
    },

    // miniprogram/dev/api/open-api/login/wx.checkSession.html: about the session_key of the last
    // code that this phone got; it does not know of codes that were got elsewhere.
    checkSession({ success, fail }) {
      calls.push('wx.checkSession')
      queueMicrotask(() => {
        if (sessionKeyAlive) success({ errMsg: 'checkSession:ok' })
        else fail({ errMsg: 'checkSession:fail session time out, need relogin', errCode: -13001 })
      })
    },

    request(options) {
      calls.push(`${options.method || 'GET'} ${new URL(options.url).pathname}`)
      const task = request(options)
      return {
        abort() {
          calls.push('abort')
          task.abort()
        },
      }
    },

    // miniprogram/dev/api/storage/wx.getStorageSync.html and its siblings: whatever JSON can hold;
    // an empty string where nothing is stored.
    getStorageSync: key => (storage.has(key) ? JSON.parse(storage.get(key)) : ''),
    setStorageSync: (key, value) => storage.set(key, JSON.stringify(value)),
    removeStorageSync: key => storage.delete(key),

    // miniprogram/dev/api/ui/interact/wx.showToast.html
    showToast: ({ title }) => toasts.push(title),
  }

  return {
    wx: Object.assign(Object.create(simulation.wx), double),
    calls,
    toasts,
    storage,
    logins: () => calls.filter(call => call === 'wx.login').length,
    ask,

    /** A tap that the user agrees to, on a client from base library 2.21.2.
     * miniprogram/dev/framework/open-ability/getPhoneNumber.html */
    async tap() {
      const { code, encrypted_data: encryptedData, iv } = await ask('/_phone/tap')
      return { detail: { errMsg: 'getPhoneNumber:ok', code, encryptedData, iv } }
    },

    /** The same on an older client.
     * miniprogram/dev/framework/open-ability/deprecatedGetPhoneNumber.html */
    async oldTap() {
      const { encrypted_data: encryptedData, iv } = await ask('/_phone/tap')
      return { detail: { errMsg: 'getPhoneNumber:ok', encryptedData, iv } }
    },

    /** Another login code, got past this mini-program (data pre-fetch, another page's wx.login):
     * it replaces the session_key, and the backend never hears of it. */
    replaceSessionKey: () => ask('/_phone/login'),

    async expireSessionKey() {
      sessionKeyAlive = false
      await ask('/_phone/expire-session-key')
    },
  }
}

// miniprogram/dev/api/network/request/wx.request.html: content-type is application/json by
// default, data becomes JSON or, for GET, the query; any HTTP status is a success; the answer is
// parsed as JSON if it can be. errno: miniprogram/dev/framework/usability/PublicErrno.html.
function request({ url, data, header, method = 'GET', timeout = 60000, success, fail }) {
  const address = new URL(url)
  let content
  if (data !== undefined && method === 'GET') {
    for (const [name, value] of Object.entries(data)) address.searchParams.append(name, value)
  } else if (data !== undefined) {
    content = JSON.stringify(data)
  }
  const headers = { 'content-type': 'application/json', ...header }
  const call = http.request(address, { method, headers, agent: false }, async reply => {
    const chunks = []
    for await (const chunk of reply) chunks.push(chunk)
    clearTimeout(timer)
    const { statusCode, rawHeaders } = reply
    success({ errMsg: 'request:ok', statusCode, header: pairs(rawHeaders), data: parsed(chunks) })
  })
  const give = failure => {
    clearTimeout(timer)
    if (call.destroyed && call.given) return
    call.given = true
    call.destroy()
    fail(failure)
  }
  const timer = setTimeout(() => give({ errMsg: 'request:fail timeout', errno: 5 }), timeout)
  call.on('error', ({ code }) => give({ errMsg: `request:fail ${code}`, errno: 600001 }))
  call.end(content)
  return { abort: () => give({ errMsg: 'request:fail abort' }) }
}

function parsed(chunks) {
  const text = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function pairs(rawHeaders) {
  const header = {}
  for (let at = 0; at < rawHeaders.length; at += 2) header[rawHeaders[at]] = rawHeaders[at + 1]
  return header
}

module.exports = { startPhone }
