// Login and phone numbers for a mini-program.
//
//   const auth = createAuth({ baseUrl: 'https://api.example.com' }) // one, in app.js
//   auth.login().catch(() => {}) // in onLaunch: ahead of any tap
//   auth.getPhoneNumber(event).then(number => …, error => wx.showToast({ title: error.title }))
//
// Needs nothing but wx and ES2015, so that it runs on every phone that WeChat runs on.

const errorsIn = require('./errors')
const promised = require('./wechat')

function createAuth(options) {
  if (!/^https?:\/\//.test(options && options.baseUrl)) {
    throw new Error('createAuth needs baseUrl, such as https://api.example.com')
  }
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  const trusted = [baseUrl].concat(options.apis || []).map(address => address.replace(/\/+$/, ''))
  const language = options.language || 'zh-CN'
  const errors = errorsIn(language)
  const phone = promised(options.wx || wx, options.timeout || 10000, errors)
  const storageKey = `auth ${baseUrl}`

  let session = null // { token, expiresAt }, as kept in storage
  let loggingIn = null // the one login in flight
  let logouts = 0
  const exchanging = {} // phone code: its exchange in flight

  // The session on this phone

  function current() {
    session = session || phone.read(storageKey)
    return session
  }

  function keep(issued) {
    if (!issued || typeof issued.token !== 'string') throw errors.local('unexpected_answer')
    session = issued
    phone.write(storageKey, session)
    return session
  }

  /** Forget the session if it still is the one of this token, and no newer one. */
  function forget(token) {
    if (!current() || session.token !== token) return
    session = null
    phone.write(storageKey, null)
  }

  // Login

  /** Make sure that there is a session with a live session_key: call it ahead of any tap. */
  function login() {
    if (!loggingIn) {
      const done = () => {
        loggingIn = null
      }
      loggingIn = liveSession()
      loggingIn.then(done, done)
    }
    return loggingIn
  }

  function liveSession() {
    const kept = current()
    if (!kept || kept.expiresAt * 1000 <= Date.now()) return newSession(1)
    return phone.checkSession().then(live => (live && current() === kept ? kept : newSession(1)))
  }

  function newSession(repeats) {
    return phone.login()
      .then(code => send({
        url: '/login',
        method: 'POST',
        data: options.appid ? { code, appid: options.appid } : { code },
      }))
      .then(response => keep(response.data))
      .catch(error => {
        // A login code works once, so each try has its own.
        const worthIt = isLost(error) || error.code === 'login_code_rejected'
        if (repeats && worthIt) return newSession(repeats - 1)
        throw error
      })
  }

  /** The session that requests are sent with; logs in only where there is none. */
  function ready() {
    if (loggingIn) return loggingIn
    return current() ? Promise.resolve(session) : login()
  }

  // Requests

  function send(asked, token) {
    const header = Object.assign({}, asked.header, { 'Accept-Language': language })
    if (token) header.Authorization = `Bearer ${token}`
    return phone.request(Object.assign({}, asked, { url: addressOf(asked.url), header }))
      .then(response => {
        if (response.statusCode >= 200 && response.statusCode < 300) return response
        throw errors.ofResponse(response)
      })
  }

  /**
   * Call with a token. A refused session costs one silent login and one replay (left.logins), an
   * answer that did not come one repeat (left.repeats), and never more.
   */
  function withSession(call, left) {
    const logoutsBefore = logouts
    return ready().then(({ token }) => call(token).catch(error => {
      if (error.code === 'session_invalid') {
        forget(token)
        // Who has logged out meanwhile is not logged in again behind their back.
        if (left.logins && logouts === logoutsBefore) {
          return withSession(call, Object.assign({}, left, { logins: left.logins - 1 }))
        }
      } else if (isLost(error) && left.repeats) {
        return withSession(call, Object.assign({}, left, { repeats: left.repeats - 1 }))
      }
      throw error
    }))
  }

  function addressOf(url) {
    return /^[a-z][a-z0-9+.-]*:/i.test(url) ? url : `${baseUrl}/${url.replace(/^\/+/, '')}`
  }

  /** wx.request with the session, as a promise; what is not 2xx rejects. */
  function request(asked) {
    const address = addressOf(asked.url)
    if (!trusted.some(base => isUnder(base, address))) {
      return Promise.reject(errors.local('address_not_trusted'))
    }
    return withSession(token => send(asked, token), { logins: 1, repeats: 0 })
  }

  // Phone number

  /** The number behind a tap; `event` is what bindgetphonenumber got, of a new or an old client. */
  function getPhoneNumber(event) {
    const detail = (event && event.detail) || {}
    const failure = errors.ofTap(detail)
    if (failure) return Promise.reject(failure)
    return detail.code ? exchange(detail.code) : decrypt(detail)
  }

  /**
   * New clients. The server answers the same code of the same user with the same number for five
   * minutes. It is always sent as the user, so a repeat after a new login still is the same one.
   */
  function exchange(code) {
    if (!exchanging[code]) {
      const call = token => send({ url: '/phone', method: 'POST', data: { code } }, token)
      const done = () => {
        delete exchanging[code]
      }
      exchanging[code] = withSession(call, { logins: 1, repeats: 1 }).then(({ data }) => data)
      exchanging[code].then(done, done)
    }
    return exchanging[code]
  }

  /**
   * Clients before base library 2.21.2. The data is encrypted with the session_key of the moment
   * of the tap, which wx.login may replace: nothing here calls it before the data was sent.
   */
  function decrypt({ encryptedData, iv }) {
    const atTheTap = current()
    if (!atTheTap && !loggingIn) return afterLogin(errors.local('not_logged_in'))
    const data = { encryptedData, iv }
    const call = token => send({ url: '/decrypt', method: 'POST', data }, token)
    return withSession(call, { logins: 1, repeats: 1 }).then(
      response => response.data.data,
      error => {
        if (error.code !== 'undecryptable') throw error
        if (atTheTap) forget(atTheTap.token)
        return afterLogin(error)
      }
    )
  }

  /** Get the next tap ready, then say that it is needed. */
  function afterLogin(error) {
    return ready().then(() => {
      throw errors.tapAgain(error)
    })
  }

  // Session

  /** What the server knows of the session, or null if there is none; never logs in. */
  function checkSession(asked) {
    return settled(loggingIn).then(() => {
      const kept = current()
      if (!kept) return null
      const url = asked && asked.verify ? '/session?verify=true' : '/session'
      return send({ url }, kept.token).then(({ data }) => data, error => {
        if (error.code !== 'session_invalid') throw error
        forget(kept.token)
        return null
      })
    })
  }

  /** Log out: on this phone at once; rejects if the server could not be told. */
  function logout(asked) {
    logouts += 1
    return settled(loggingIn).then(() => {
      const kept = current()
      if (!kept) return undefined
      forget(kept.token)
      const url = asked && asked.all ? '/session?all=true' : '/session'
      return goodbye(() => send({ url, method: 'DELETE' }, kept.token), 1)
    })
  }

  function goodbye(call, repeats) {
    return call().then(() => undefined, error => {
      if (error.code === 'session_invalid') return undefined
      if (repeats && isLost(error)) return goodbye(call, repeats - 1)
      throw error
    })
  }

  return { login, getPhoneNumber, request, checkSession, logout }
}

/** Whether no answer came, so that nobody knows what the server did. */
function isLost(error) {
  return error.code === 'offline' || error.code === 'timeout'
}

function isUnder(base, address) {
  return address === base || ['/', '?'].some(next => address.indexOf(base + next) === 0)
}

function settled(promise) {
  const nothing = () => undefined
  return promise ? promise.then(nothing, nothing) : Promise.resolve()
}

module.exports = { createAuth }
