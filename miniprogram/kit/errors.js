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

module.exports = function errorsIn(language) {
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
