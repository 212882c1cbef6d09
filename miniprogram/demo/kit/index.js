// A copy, made by `npm run copy-kit`: change miniprogram/kit/index.js.

// Login and phone numbers for a mini-program.
//
//   const auth = createAuth({ baseUrl: 'https://api.example.com' }) // one, in app.js
//   auth.login().catch(() => {}) // in onLaunch: ahead of any tap
//   auth.getPhoneNumber(event).then(number => …, error => wx.showToast({ title: error.title }))
//
// Needs nothing but wx and ES2015, so that it runs on every phone that WeChat runs on.

const errorsIn = require('./errors')
const tapOf = require('./tap')
const promised = require('./wechat')

function createAuth(options) {
  if (!/^https?:\/\//.test(options && options.baseUrl)) {
    throw new Error('createAuth needs baseUrl, such as https://api.example.com')
  }
  if (!options.wx && typeof wx === 'undefined') {
    throw new Error('createAuth needs wx: outside WeChat hand in what stands for it')
  }
  const baseUrl = withoutSlash(options.baseUrl)
  const apis = (options.apis || []).map(withoutSlash)
  const language = options.language || 'zh-CN'
  const errors = errorsIn(language)
  const phone = promised(options.wx || wx, options.timeout || 10000, errors)
  const storageKey = `auth ${baseUrl}`

  let session = null // { token, expiresAt }, as kept in storage
  let issued = '' // the token of the last login since this start
  let cleared = '' // a token that is not why an API answers 403
  let loggingIn = null // the one login in flight
  let logouts = 0
  const exchanging = {} // address and phone code: the exchange in flight

  // The session on this phone

  function current() {
    if (!session) {
      const kept = phone.read(storageKey)
      session = isSession(kept) ? kept : null
    }
    return session
  }

  function keep(fresh) {
    session = { token: fresh.token, expiresAt: fresh.expiresAt }
    issued = fresh.token
    phone.write(storageKey, session)
    return fresh
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
    return inFlight(liveSession)
  }

  function inFlight(start) {
    if (!loggingIn) {
      const done = () => {
        loggingIn = null
      }
      loggingIn = start()
      loggingIn.then(done, done)
    }
    return loggingIn
  }

  function liveSession() {
    const kept = current()
    if (!kept || kept.expiresAt * 1000 <= Date.now()) return newSession()
    return phone.checkSession().then(live => (live && current() === kept ? kept : newSession()))
  }

  function newSession(isRepeat) {
    return phone.login()
      .then(code => send({
        url: '/login',
        method: 'POST',
        data: options.appid ? { code, appid: options.appid } : { code },
      }, null, isSession))
      .then(response => keep(response.data))
      .catch(error => {
        // A login code is free and works once, so each try has its own.
        const worthIt = isLost(error) ||
          ['login_failed', 'login_code_rejected'].indexOf(error.code) >= 0
        if (worthIt && !isRepeat) return newSession(true)
        throw error
      })
  }

  /** The session that requests are sent with; logs in only where there is none. */
  function ready() {
    if (loggingIn) return loggingIn
    return current() ? Promise.resolve(session) : login()
  }

  /** A session other than this one, which stays if none can be had. */
  function another(token) {
    const kept = current()
    return kept && kept.token !== token ? ready() : inFlight(newSession)
  }

  // Requests

  /** `isRight`: whether a body is what the route answers; firewalls and portals say 200 too. */
  function send(asked, token, isRight) {
    const url = addressOf(asked.url)
    const header = Object.assign({}, asked.header, { 'Accept-Language': language })
    if (token) header.Authorization = `Bearer ${token}`
    return phone.request(Object.assign({}, asked, { url, header })).then(response => {
      const { statusCode: status, data } = response
      if (status >= 200 && status < 300 && (!isRight || isRight(data, status))) return response
      throw errors.ofResponse(response, isUnderAny(apis, url) && !isOwnRoute(url))
    })
  }

  /**
   * Call with a token. A refused session costs one silent login and one replay (left.logins), an
   * answer that did not come one repeat (left.repeats), and never more.
   */
  function withSession(call, left, starting) {
    const logoutsBefore = logouts
    const again = (less, session) => withSession(call, Object.assign({}, left, less), session)
    return (starting || ready()).then(({ token }) => call(token).catch(error => {
      if (isLost(error) && left.repeats) return again({ repeats: left.repeats - 1 })
      if (error.code !== 'session_invalid') throw error
      const byGateway = error.status === 403
      if (byGateway && !left.logins) cleared = token
      if (byGateway && token === cleared) {
        throw errors.local('gateway_refused', { status: 403, data: error.data })
      }
      if (!left.logins) throw error
      if (!byGateway) forget(token)
      // Who has logged out meanwhile is not logged in again behind their back.
      if (logouts !== logoutsBefore) throw error
      return again({ logins: left.logins - 1 }, another(token))
    }))
  }

  function addressOf(url) {
    return /^[a-z][a-z0-9+.-]*:/i.test(url) ? url : `${baseUrl}/${url.replace(/^\/+/, '')}`
  }

  function isTrusted(url) {
    return isUnderAny([baseUrl].concat(apis), addressOf(url))
  }

  /** Whether it is a route of the backend: no authorizer stands before those. */
  function isOwnRoute(address) {
    return isUnderAny([baseUrl], address) &&
      /^\/(login|phone|decrypt|session)\/?($|\?)/.test(address.slice(baseUrl.length))
  }

  /** wx.request with the session, as a promise; what is not 2xx rejects. */
  function request(asked) {
    if (!isTrusted(asked.url)) return Promise.reject(errors.local('address_not_trusted'))
    return withSession(token => send(asked, token), { logins: 1, repeats: 0 })
  }

  // Phone number

  /**
   * The number behind a tap; `event` is what bindgetphonenumber or bindgetrealtimephonenumber got,
   * of a new or an old client. With `asked.url` the tap goes to that address of your own instead,
   * and what it answers comes back.
   */
  function getPhoneNumber(event, asked) {
    const url = asked && asked.url
    if (url && !isTrusted(url)) return Promise.reject(errors.local('address_not_trusted'))
    const { detail, failure } = tapOf(event, errors)
    if (failure) return Promise.reject(failure)
    return detail.code ? exchange(detail.code, url) : decrypt(detail, url)
  }

  /**
   * New clients. The server answers the same code of the same user with the same number for five
   * minutes. It is always sent as the user, so a repeat after a new login still is the same one.
   */
  function exchange(code, url) {
    const key = `${url} ${code}`
    if (!exchanging[key]) {
      const done = () => {
        delete exchanging[key]
      }
      exchanging[key] = deliver(url || '/phone', { code }, url ? isJson : isNumber)
      exchanging[key].then(done, done)
    }
    return exchanging[key]
  }

  /**
   * Clients before base library 2.21.2. The data is encrypted with the session_key of the moment
   * of the tap, which wx.login may replace: nothing here calls it before the data was sent.
   */
  function decrypt({ encryptedData, iv, cloudID }, url) {
    if (!current() && !loggingIn) return afterLogin(errors.local('not_logged_in'))
    const data = encryptedData && iv ? { encryptedData, iv } : { cloudID }
    if (url) return deliver(url, data, isJson)
    return deliver('/decrypt', data, body => isNumber(Object(body).data)).then(body => (
      Object.assign(body.data, body.account && { account: body.account })
    ))
  }

  function deliver(url, data, isRight) {
    const atTheTap = current()
    const call = token => send({ url, method: 'POST', data }, token, isRight)
    return withSession(call, { logins: 1, repeats: 1 }).then(
      response => response.data,
      error => {
        // A session kept from an earlier start may be that of another account on this phone.
        const isOlder = current() && session.token !== issued
        const inDoubt = error.code === 'undecryptable' ||
          (error.code === 'phone_code_rejected' && isOlder)
        if (!inDoubt) throw error
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
      return send({ url }, kept.token, isTime).then(({ data }) => data, error => {
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
      return goodbye(() => send({ url, method: 'DELETE' }, kept.token, isNothing), 1)
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

// What the routes answer

function isTime(body) {
  return Number.isFinite(Object(body).expiresAt)
}

function isSession(body) {
  return isTime(body) && hasTexts(body, ['token'])
}

function isNumber(body) {
  return hasTexts(Object(body), ['phoneNumber', 'purePhoneNumber', 'countryCode'])
}

function isNothing(body, status) {
  return status === 204
}

/** Of your own address anything but a page. */
function isJson(body) {
  return typeof body !== 'string' || body === ''
}

function hasTexts(body, names) {
  return names.every(name => typeof body[name] === 'string' && body[name])
}

/** Whether no answer came, so that nobody knows what the server did. */
function isLost(error) {
  return error.code === 'offline' || error.code === 'timeout'
}

function isUnderAny(bases, address) {
  return bases.some(base => (
    address === base || ['/', '?'].some(next => address.indexOf(base + next) === 0)
  ))
}

function withoutSlash(address) {
  return address.replace(/\/+$/, '')
}

function settled(promise) {
  const nothing = () => undefined
  return promise ? promise.then(nothing, nothing) : Promise.resolve()
}

module.exports = { createAuth }
