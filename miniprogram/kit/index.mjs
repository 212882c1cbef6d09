// Made of the .js files here by `npm run copy-kit`: change those.

// Errors as objects: `code` and `action` as the server gives them, `title` fit for wx.showToast,
// `message` for the developer. What goes wrong on the phone itself gets the same form here.

// code: [action, title in Chinese, title in English, what the developer should know]
const ON_THE_PHONE = {
  offline: ['retry', '网络不可用，请检查后重试', 'No connection, please try again',
    'No answer came. The server may have done the work: only what is safe to repeat was repeated.'],
  timeout: ['retry', '网络较慢，请重试', 'The network is slow, please try again',
    'No answer came within the time-out.'],
  domain_not_registered: ['fix_request', '服务暂不可用', 'The service is unavailable',
    'Register the domain in the WeChat console (Development > Development settings > Server ' +
    'domain); for a local stack set urlCheck to false in project.config.json.'],
  tls_failed: ['contact_support', '服务暂不可用', 'The service is unavailable',
    'The phone does not trust the server: send the whole certificate chain, and offer TLS 1.2.'],
  request_refused: ['fix_request', '请求有误', 'The request is not valid',
    'wx did not send the request: its url or another option is wrong.'],
  address_not_trusted: ['fix_request', '请求有误', 'The request is not valid',
    'The session is sent only to baseUrl and to the addresses in `apis`.'],
  login_failed: ['retry', '微信登录失败，请重试', 'WeChat login failed, please try again',
    'wx.login gave no code. DevTools without an AppID, or as a visitor, give none: set the appid ' +
    'of project.config.json.'],
  not_logged_in: ['authorize_again', '登录已更新，请再点一次', 'Logged in, please tap once more',
    'Nobody was logged in when the user tapped, so no server holds the session_key of this data. ' +
    'Call login() in onLaunch or onLoad.'],
  user_denied: ['authorize_again', '已取消授权', 'Not authorised', 'The user refused.'],
  privacy_not_agreed: ['authorize_again', '请先同意隐私保护指引', 'Please agree to the privacy guide',
    'The user has not agreed to the privacy guide.'],
  privacy_not_declared: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'Declare phone numbers in the privacy guide of the WeChat console, and say that the ' +
    'mini-program collects them when you submit a version.'],
  no_permission: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'Only a verified account that is not personal may ask for phone numbers.'],
  phone_quota_used_up: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'The paid quota of phone numbers is used up: buy more in the WeChat console.'],
  number_not_verified: ['contact_support', '请先在微信绑定并验证手机号',
    'Bind and verify a number in WeChat first',
    'This WeChat account has no phone number, or one to verify by SMS first. Another tap cannot ' +
    'help: let the user type a number in.'],
  not_a_tap: ['fix_request', '请求有误', 'The request is not valid',
    'This is not what a tap gave. Pass the event of bindgetphonenumber or ' +
    'bindgetrealtimephonenumber as it is, in the handler of that button.'],
  tap_failed: ['authorize_again', '获取手机号失败，请再点一次', 'Please tap once more',
    'The tap gave no phone number.'],
  // An answer without a problem document: API Gateway's own, a proxy's, your own API's.
  session_invalid: ['login_again', '登录已过期，请重新登录', 'Please log in again',
    'The session was refused.'],
  gateway_refused: ['contact_support', '服务暂不可用', 'The service is unavailable',
    'API Gateway answered 403 Forbidden, and not because of the session: look for a domain ' +
    'without API mapping or ICP filing, a WAF, an authorizer of another stack.'],
  too_many_requests: ['wait', '操作过于频繁，请稍后再试', 'Please try again later',
    'Too many requests.'],
  service_unavailable: ['retry', '服务繁忙，请稍后再试', 'The service is busy',
    'The server failed and did not say why.'],
  unexpected_answer: ['fix_request', '请求失败', 'The request failed',
    'The answer is not one that this route gives.'],
}

const ACTIONS = [
  'retry', 'login_again', 'authorize_again', 'wait', 'fix_request', 'contact_support',
]

function errorsIn(language) {
  const titleIn = language === 'en' ? 2 : 1

  /** An error that this phone knows of by itself; `more` overrides. */
  function local(code, more) {
    const known = ON_THE_PHONE[code]
    const said = more && more.errMsg ? ` wx said: ${more.errMsg}` : ''
    const fields = { code, action: known[0], title: known[titleIn], status: 0 }
    return Object.assign(new Error(known[3] + said), { name: 'AuthError' }, fields, more)
  }

  /** What wx means by a failure: its errno counts, else its text; rows are [code, errno, text]. */
  function ofWx(rows, failure, otherwise) {
    const { errMsg } = failure
    const errno = failure.errno || failure.errCode
    const text = String(errMsg || '').replace(/^\w+:/, '') // which begins with the name of the call
    const row = rows.find(each => errno && each[1] === Number(errno)) ||
      rows.find(each => each[2].test(text))
    return local(row ? row[0] : otherwise, { errno, errMsg })
  }

  /** What an answer says that is not the one hoped for; `authorizer`: one may stand before it. */
  function ofResponse(response, authorizer) {
    const { statusCode: status, data } = response
    const body = Object(data)
    const text = [body.detail, body.message, body.msg, body.errMsg, body.error].find(isText)
    const retryAfter = Number(headerOf(response, 'retry-after')) || undefined
    if (isText(body.code) && ACTIONS.indexOf(body.action) >= 0) {
      return Object.assign(local('unexpected_answer'), {
        message: text || body.title || body.code,
        code: body.code,
        action: body.action,
        status,
        requestId: body.requestId,
        rid: body.rid,
        retryAfter,
        data,
      }, isText(body.title) && { title: body.title })
    }
    const error = local(codeOfStatus(status, body, authorizer), { status, retryAfter, data })
    if (error.code === 'gateway_refused') return error
    return Object.assign(error, {
      message: text || `HTTP ${status} without a problem document. ${error.message}`,
    })
  }

  /** The same error, once the kit has logged in and only another tap is missing. */
  function tapAgain(error) {
    const [action, title] = [ON_THE_PHONE.not_logged_in[0], ON_THE_PHONE.not_logged_in[titleIn]]
    return Object.assign(error, { action, title })
  }

  return { local, ofWx, ofResponse, tapAgain }
}

function codeOfStatus(status, body, authorizer) {
  if (status === 401) return 'session_invalid'
  // API Gateway answers just this where a Lambda authorizer does not know the session, and where
  // nothing was asked at all. Frameworks that say Forbidden say more.
  if (status === 403 && body.message === 'Forbidden' && Object.keys(body).length === 1) {
    return authorizer ? 'session_invalid' : 'gateway_refused'
  }
  if (status === 429) return 'too_many_requests'
  return status >= 500 ? 'service_unavailable' : 'unexpected_answer'
}

function isText(value) {
  return typeof value === 'string' && value !== ''
}

// Platforms spell header names in different cases.
function headerOf(response, name) {
  const header = response.header || {}
  return header[Object.keys(header).find(key => key.toLowerCase() === name)]
}

// What a tap on the phone-number button gave, wherever the framework put it, and what it means if
// there is no number in it.

const GIVEN = ['code', 'encryptedData', 'cloudID', 'errMsg', 'errno', 'errCode']

// { detail }: native, Taro, Vue; { mp: { detail } }: mpvue; the detail itself: uView, games,
// wot-design-uni. Components that pass an event on put it, or its arguments, into their own detail.
const WRAPPINGS = ['detail', 'mp', 'mpEvent', 'nativeEvent', 'originalEvent', '__args__', '0']

function detailOf(event, depth) {
  if (Object(event) !== event || depth === 0) return null
  const inside = WRAPPINGS.map(name => detailOf(event[name], depth - 1)).find(Boolean)
  return inside || (GIVEN.some(name => event[name]) ? event : null)
}

// errno: 1400001 is on the page of the component (miniprogram/dev/framework/open-ability/
// getPhoneNumber.html), 103, 104 and 112 came with the privacy guide. Clients before base library
// 2.24 give only a text, in the words of their platform. The first row that fits counts: "access
// denied" is no refusal, and "privacy permission is not authorized" is no missing permission.
const TAP_FAILURES = [
  ['phone_quota_used_up', 1400001, new RegExp(
    'quota|1400001|balance|额度|余额|欠费|套餐|资源包|次数.*(用[完尽光]|耗尽|不足)', 'i')],
  ['privacy_not_agreed', 104, new RegExp(
    'privacy.*(n.t (been )?(authori|agree|accept)|unauthori|disagree|den(y|ied)|' +
    'refus|reject|cancel)|' +
    '(n.t (yet )?|dis)(agree|accept).*privacy|' +
    '(拒绝|取消|(未|没有?|不)(同意|授权|接受)).*隐私|' +
    '隐私.*(拒绝|取消|(未|没有?|不)(被?用户)?(同意|授权|接受))', 'i')],
  ['privacy_not_declared', 112, /privacy|隐私|declared|banned|封禁|声明/i],
  ['not_a_tap', 0, new RegExp(
    'gesture|手势|(only|must|not) .*(\\btap|click)|(只能|必须|需要?由|非).*点[击按]', 'i')],
  ['user_denied', 103, new RegExp(
    'user.*(den(y|ied)|cancel|reject|refus|(n.t|un) ?(authori|agree|allow))|' +
    '用户.*(拒绝|取消|(未|不|没有?)(授权|同意|允许))', 'i')],
  ['no_permission', 0, new RegExp(
    '(no|not have|without|lacks?|insufficient) (the |any |enough )?(permission|privilege|auth)|' +
    '(permission|access) (is |was )?den|unauthori|not authori|forbidden|not allowed|personal|' +
    '(没有?|无|未开通|未获得?|缺少|不具备).{0,6}(权限|能力|资格)|' +
    '无权|权限不足|未认证|个人(主体|小程序|开发者)|未授权', 'i')],
  ['user_denied', 0, /den(y|ied)|cancel|reject|refus|拒绝|取消|不允许|不同意/i],
  ['number_not_verified', 0, new RegExp(
    '(?=.*(phone|mobile|number|手机|号码))(?=.*(bind|bound|verif|绑定|验证|未设置))|' +
    '\\bSMS\\b|短信|no (phone|mobile)|(没有?|无)手机', 'i')],
  ['too_many_requests', 0, /frequen|too (many|often)|频繁/i],
]

/** `detail` of a tap, and `failure`: why it holds no number, null if it does. */
function tapOf(event, errors) {
  const detail = detailOf(event, 5)
  if (!detail) return { failure: errors.local('not_a_tap') }
  const good = detail.code || (detail.encryptedData && detail.iv) || detail.cloudID
  return { detail, failure: good ? null : errors.ofWx(TAP_FAILURES, detail, 'tap_failed') }
}

// The calls of wx that the kit makes, as promises that always settle. Phones do not keep to the
// time-out of wx.login, and base libraries before 2.10.0 know none for wx.request, so the time is
// taken here.

// errno: miniprogram/dev/framework/usability/PublicErrno.html. Before base library 2.24 there is
// only errMsg, which some phones write in their own language.
const NETWORK_FAILURES = [
  ['timeout', 5, /time.?out|timed out|超时|逾時/i],
  ['domain_not_registered', 600002, /domain list|合法域名/i],
  ['tls_failed', 0, new RegExp(
    '(^|[^a-z])(ssl|tls|cert)|hand ?shake|secure connection|证书|憑證|安全连接|' +
    '-(120[0-6]|2[01]\\d)\\b', 'i')],
  ['request_refused', 600009, new RegExp(
    '(invalid|illegal|unsupported|malformed|bad|无效的?|非法的?|不支持的?)[ _]?url|' +
    'url.*(invalid|illegal|not valid|无效|非法)|cleartext|parameter|参数', 'i')],
]

function promised(wx, timeout, errors) {
  /** Start a call of wx; `failure` turns what its fail callback got into an error. */
  function call(start, options, failure) {
    return new Promise((resolve, reject) => {
      let task = null
      const timer = setTimeout(() => {
        reject(errors.local('timeout'))
        if (task && task.abort) task.abort()
      }, options.timeout || timeout)
      const success = result => {
        clearTimeout(timer)
        resolve(result || {})
      }
      const fail = result => {
        clearTimeout(timer)
        reject(failure(result || {}))
      }
      try {
        task = start(Object.assign({ timeout }, options, { success, fail, complete: undefined }))
      } catch (error) {
        fail({ errMsg: error.message, thrown: true })
      }
      // A wx made of promises: it may heed the callbacks, or not.
      if (task && typeof task.then === 'function') task.then(success, fail)
    })
  }

  const loginFailure = ({ errno, errMsg }) => errors.local('login_failed', { errno, errMsg })

  return {
    /** A new login code. It may replace the user's session_key. */
    login: () => call(options => wx.login(options), {}, loginFailure).then(result => {
      // "the code is a mock one" is what DevTools give without an AppID.
      const { code, errMsg } = result
      if (typeof code === 'string' && /^\S+$/.test(code)) return code
      throw loginFailure({ errMsg: code || errMsg })
    }),

    /** Whether the session_key of the last login code is alive. */
    checkSession: () => call(options => wx.checkSession(options), {}, () => false)
      .then(() => true, () => false),

    /** An answer of any HTTP status. */
    request: options => call(all => wx.request(all), options, failed => (
      errors.ofWx(NETWORK_FAILURES, failed, failed.thrown ? 'request_refused' : 'offline')
    )).then(response => (
      (options.dataType || 'json') === 'json' ? parsed(response) : response
    )),

    // A phone whose storage is full logs in again at the next start, no more.
    read(key) {
      try {
        return wx.getStorageSync(key) || null
      } catch (_) {
        return null
      }
    },
    write(key, value) {
      try {
        if (value) wx.setStorageSync(key, value)
        else wx.removeStorageSync(key)
      } catch (_) {
        // See above.
      }
    },
  }
}

// Some phones leave JSON as text: with a byte order mark, or characters that their parser refuses.
function parsed(response) {
  try {
    const data = JSON.parse(response.data.trim())
    return Object(data) === data ? Object.assign({}, response, { data }) : response
  } catch (_) {
    return response
  }
}

// Login and phone numbers for a mini-program.
//
//   const auth = createAuth({ baseUrl: 'https://api.example.com' }) // one, in app.js
//   auth.login().catch(() => {}) // in onLaunch: ahead of any tap
//   auth.getPhoneNumber(event).then(number => …, error => wx.showToast({ title: error.title }))
//
// Needs nothing but wx and ES2015, so that it runs on every phone that WeChat runs on.


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

export { createAuth }
