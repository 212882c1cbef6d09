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

module.exports = function promised(wx, timeout, errors) {
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
