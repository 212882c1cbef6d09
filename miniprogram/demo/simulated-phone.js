/**
 * wx on a phone that `make run` plays: login codes and taps come from the simulated WeChat at
 * `url`, since it does not know those that real WeChat gives. Not for production.
 */
module.exports = function simulatedPhone(wx, url) {
  const ask = path => new Promise((resolve, reject) => {
    wx.request({ url: url + path, method: 'POST', data: {}, success: resolve, fail: reject })
  }).then(({ data }) => data)

  return Object.create(wx, {
    login: {
      value: ({ success, fail }) => {
        ask('/_phone/login').then(({ code }) => success({ code, errMsg: 'login:ok' }), fail)
      },
    },
    checkSession: { value: ({ success }) => success({ errMsg: 'checkSession:ok' }) },
    /** The user taps the phone-number button and agrees: the event that the page would get. */
    tap: {
      value: () => ask('/_phone/tap').then(
        ({ code, encrypted_data: encryptedData, iv }) => (
          { detail: { errMsg: 'getPhoneNumber:ok', code, encryptedData, iv } }
        ),
        ({ errMsg }) => ({ detail: { errMsg } })
      ),
    },
  })
}
