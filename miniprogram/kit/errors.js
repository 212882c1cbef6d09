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
  address_not_trusted: ['fix_request', '请求有误', 'The request is not valid',
    'The session is sent only to baseUrl and to the addresses in `apis`.'],
  login_failed: ['retry', '微信登录失败，请重试', 'WeChat login failed, please try again',
    'wx.login failed.'],
  not_logged_in: ['authorize_again', '登录已更新，请再点一次', 'Logged in, please tap once more',
    'Nobody was logged in when the user tapped, so no server holds the session_key of this data. ' +
    'Call login() in onLaunch or onLoad.'],
  user_denied: ['authorize_again', '已取消授权', 'Not authorised', 'The user refused.'],
  privacy_not_agreed: ['authorize_again', '请先同意隐私保护指引', 'Please agree to the privacy guide',
    'The user has not agreed to the privacy guide.'],
  privacy_not_declared: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'Declare phone numbers in the privacy guide of the WeChat console.'],
  no_permission: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'Only a verified account that is not personal may ask for phone numbers.'],
  phone_quota_used_up: ['contact_support', '暂时无法获取手机号', 'Phone numbers are unavailable',
    'The paid quota of phone numbers is used up: buy more in the WeChat console.'],
  tap_failed: ['authorize_again', '获取手机号失败，请再点一次', 'Please tap once more',
    'The tap gave no phone number. Pass the event of bindgetphonenumber as it is.'],
  // An answer without a problem document: API Gateway's own, a proxy's, your own API's.
  session_invalid: ['login_again', '登录已过期，请重新登录', 'Please log in again',
    'The session was refused.'],
  too_many_requests: ['wait', '操作过于频繁，请稍后再试', 'Please try again later',
    'Too many requests.'],
  service_unavailable: ['retry', '服务繁忙，请稍后再试', 'The service is busy',
    'The server failed and did not say why.'],
  unexpected_answer: ['fix_request', '请求失败', 'The request failed',
    'The answer is not one that this route gives.'],
}

module.exports = function errorsIn(language) {
  const titleIn = language === 'en' ? 2 : 1

  /** An error that this phone knows of by itself; `more` overrides. */
  function local(code, more) {
    const known = ON_THE_PHONE[code]
    const fields = { code, action: known[0], title: known[titleIn], status: 0 }
    return Object.assign(new Error(known[3]), { name: 'AuthError' }, fields, more)
  }

  /** What an answer other than 2xx says. */
  function ofResponse(response) {
    const body = response.data || {}
    const status = response.statusCode
    const retryAfter = Number(headerOf(response, 'retry-after')) || undefined
    if (typeof body.code !== 'string' || typeof body.action !== 'string') {
      const message = `The answer was HTTP ${status} without a problem document.`
      return local(codeOfStatus(status, body), { status, retryAfter, message })
    }
    return Object.assign(new Error(body.detail), {
      name: 'AuthError',
      code: body.code,
      action: body.action,
      title: body.title,
      status,
      requestId: body.requestId,
      rid: body.rid,
      retryAfter,
    })
  }

  /** Why a tap on the phone-number button gave nothing; null if it gave something. */
  function ofTap(detail) {
    if (detail.code || (detail.encryptedData && detail.iv)) return null
    const { errno, errMsg } = detail
    return local(codeOfTap(errno, String(errMsg)), { errno, errMsg })
  }

  /** The same error, once the kit has logged in and only another tap is missing. */
  function tapAgain(error) {
    const [action, title] = [ON_THE_PHONE.not_logged_in[0], ON_THE_PHONE.not_logged_in[titleIn]]
    return Object.assign(error, { action, title })
  }

  return { local, ofResponse, ofTap, tapAgain }
}

// errno and errMsg of bindgetphonenumber: 1400001 is on the page of the component
// (miniprogram/dev/framework/open-ability/getPhoneNumber.html), 104 and 112 came with the privacy
// guide. A refusal reads "fail user deny", "fail:user cancel" or "fail auth deny" by platform.
function codeOfTap(errno, errMsg) {
  if (errno === 1400001) return 'phone_quota_used_up'
  if (errno === 112 || /privacy agreement/.test(errMsg)) return 'privacy_not_declared'
  if (errno === 104 || /privacy permission/.test(errMsg)) return 'privacy_not_agreed'
  if (/no permission/.test(errMsg)) return 'no_permission'
  if (/deny|cancel/.test(errMsg)) return 'user_denied'
  return 'tap_failed'
}

function codeOfStatus(status, body) {
  // API Gateway answers 403 Forbidden where a Lambda authorizer does not know the session.
  if (status === 401 || (status === 403 && body.message === 'Forbidden')) return 'session_invalid'
  if (status === 429) return 'too_many_requests'
  return status >= 500 ? 'service_unavailable' : 'unexpected_answer'
}

// Platforms spell header names in different cases.
function headerOf(response, name) {
  const header = response.header || {}
  return header[Object.keys(header).find(key => key.toLowerCase() === name)]
}
