// The calls of wx that the kit makes, as promises that always settle. Phones do not keep to the
// time-out of wx.login, and base libraries before 2.10.0 know none for wx.request, so the time is
// taken here.

module.exports = function promised(wx, timeout, errors) {
  /** Start a call of wx; `failure` turns what its fail callback got into an error. */
  function call(start, options, failure) {
    return new Promise((resolve, reject) => {
      let task = null
      const timer = setTimeout(() => {
        reject(errors.local('timeout'))
        if (task && task.abort) task.abort()
      }, options.timeout || timeout)
      const settle = act => {
        clearTimeout(timer)
        act()
      }
      task = start(Object.assign({ timeout }, options, {
        success: result => settle(() => resolve(result)),
        fail: result => settle(() => reject(failure(result || {}))),
        complete: undefined,
      }))
    })
  }

  // errno: miniprogram/dev/framework/usability/PublicErrno.html. Before base library 2.24 there is
  // only errMsg, which some phones write in their own language.
  function networkFailure({ errno, errMsg }) {
    let code = 'offline'
    if (errno === 5 || /time.?out|超时|逾時/i.test(errMsg)) code = 'timeout'
    if (errno === 600002 || /not in domain list/.test(errMsg)) code = 'domain_not_registered'
    return errors.local(code, { errno, errMsg })
  }

  return {
    /** A new login code. It may replace the user's session_key. */
    login: () => call(options => wx.login(options), {}, ({ errno, errMsg }) =>
      errors.local('login_failed', { errno, errMsg })).then(({ code }) => code),

    /** Whether the session_key of the last login code is alive. */
    checkSession: () => call(options => wx.checkSession(options), {}, () => false)
      .then(() => true, () => false),

    /** An answer of any HTTP status. */
    request: options => call(all => wx.request(all), options, networkFailure),

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
