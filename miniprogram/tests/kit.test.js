// The kit against the real stack over HTTP: the functions, a simulated WeChat, and a network
// between phone and API that fails on demand.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, afterEach, before, beforeEach, describe, it } = require('node:test')

const { createAuth } = require('../kit')
const { KIT, ROOT, made } = require('./copy-kit')
const { failure } = require('./failure')
const { startNetwork } = require('./network')
const { startPhone } = require('./phone')
const { eventually } = require('./simulation')
const { startStack } = require('./stack')

const NUMBER = { phoneNumber: '13800138000', purePhoneNumber: '13800138000', countryCode: '86' }

let stack
let network
let phone

before(async () => {
  stack = await startStack()
})
after(() => stack && stack.stop())

beforeEach(async () => {
  network = await startNetwork(stack.api)
  phone = startPhone(stack)
})
afterEach(() => network.stop())

/** The kit as app.js makes it at a start of the mini-program on this phone. */
const start = options => createAuth({ baseUrl: network.url, wx: phone.wx, ...options })

const brief = ({ code, action, title }) => [code, action, title]

describe('login', () => {
  it('logs in at the first start and keeps the session in storage', async () => {
    const { token, expiresAt } = await start().login()

    assert.deepEqual(phone.calls, ['wx.login', 'POST /login'])
    assert.deepEqual([...phone.storage.values()], [JSON.stringify({ token, expiresAt })])
    assert.ok(expiresAt > Date.now() / 1000)
  })

  it('is one however many callers wait', async () => {
    const auth = start()
    const callers = [auth.login(), auth.login(), auth.request({ url: '/session' })]
    const [first, second, answer] = await Promise.all(callers)

    assert.equal(first, second)
    assert.equal(answer.statusCode, 200)
    assert.equal(phone.logins(), 1)
  })

  it('asks only wx.checkSession where a session is kept', async () => {
    const { token } = await start().login()
    phone.calls.length = 0

    assert.equal((await start().login()).token, token)
    assert.deepEqual(phone.calls, ['wx.checkSession'])
  })

  it('starts a new session where the session_key has expired', async () => {
    const { token } = await start().login()
    await phone.expireSessionKey()
    phone.calls.length = 0

    assert.notEqual((await start().login()).token, token)
    assert.deepEqual(phone.calls, ['wx.checkSession', 'wx.login', 'POST /login'])
  })

  it('starts a new session where the kept one has run out', async () => {
    await start().login()
    const [key] = phone.storage.keys()
    phone.wx.setStorageSync(key, { token: 'x'.repeat(70), expiresAt: 1 })

    assert.ok((await start().login()).expiresAt > Date.now() / 1000)
    assert.equal(phone.logins(), 2)
  })

  it('tells what the account function said of this login, and keeps no old news', async () => {
    const account = { isNew: true, needsPhone: true }
    network.answer('/login', 200, { token: 'a token', expiresAt: 9e9, account })

    assert.deepEqual((await start().login()).account, account)
    assert.deepEqual([...phone.storage.values()], [
      JSON.stringify({ token: 'a token', expiresAt: 9e9 }),
    ])
    assert.equal((await start().login()).account, undefined)
  })

  it('tells what the account function said of a number, from a new or an old client', async () => {
    const account = { isNew: true }
    const auth = start()
    await auth.login()
    network.answer('/phone', 200, { ...NUMBER, account })
    network.answer('/decrypt', 200, { data: NUMBER, account })

    for (const detail of [{ code: 'a code' }, { cloudID: 'an id' }]) {
      assert.deepEqual(await auth.getPhoneNumber({ detail }), { ...NUMBER, account })
    }
  })

  it('shows the account function\'s own words where it refuses', async () => {
    const said = { code: 'account_refused', action: 'contact_support', title: '账号已注销' }
    network.answer('/login', 403, { ...said, accountCode: 'account_closed' })
    const error = await failure(start().login())

    assert.deepEqual(brief(error), ['account_refused', 'contact_support', '账号已注销'])
    assert.equal(error.data.accountCode, 'account_closed')
  })

  it('uses a fresh code once more where the answer was lost', async () => {
    network.loseAnswer('/login')
    await start().login()

    const [first, second] = network.calls('POST /login')
    assert.notEqual(first.body.code, second.body.code)
  })

  it('uses a fresh code once more where WeChat rejects the first', async () => {
    network.answer('/login', 422, { code: 'login_code_rejected', action: 'login_again' })
    await start().login()
    assert.equal(phone.logins(), 2)
  })

  it('says so where WeChat gives no code', async () => {
    phone.wx.login = ({ fail }) => fail({ errMsg: 'login:fail system error' })
    const error = await failure(start().login())
    assert.deepEqual(brief(error), ['login_failed', 'retry', '微信登录失败，请重试'])
    assert.equal(error.errMsg, 'login:fail system error')
  })

  it('ends also where wx.login never comes back', async () => {
    phone.wx.login = () => {}
    const error = await failure(start({ timeout: 20 }).login())
    assert.deepEqual(brief(error), ['timeout', 'retry', '网络较慢，请重试'])
  })

  it('works on a phone whose storage is full', async () => {
    phone.wx.setStorageSync = () => {
      throw new Error('setStorageSync:fail exceed storage max size 10Mb')
    }
    const auth = start()
    await auth.login()
    assert.equal((await auth.request({ url: '/session' })).statusCode, 200)
    assert.equal(phone.logins(), 1)
  })

  it('names the app where one deployment serves several', async () => {
    await start({ appid: 'wx0123456789abcdef' }).login()
    assert.equal(network.calls('POST /login')[0].body.appid, 'wx0123456789abcdef')
  })

  it('does not take any answer for a session', async () => {
    network.answer('/login', 200, '<html>Wi-Fi portal</html>')
    assert.equal((await failure(start().login())).code, 'unexpected_answer')
    assert.equal(phone.storage.size, 0)
  })
})

describe('request', () => {
  it('is wx.request with the session', async () => {
    const auth = start()
    const { token, expiresAt } = await auth.login()
    const answer = await auth.request({ url: 'session', data: { verify: true } })

    assert.deepEqual(answer.data, { expiresAt, sessionKeyValid: true })
    assert.equal(network.calls('GET /session?verify=true')[0].token, token)
  })

  it('logs in silently and replays once where the session is refused', async () => {
    const auth = start()
    await auth.login()
    await stack.expireSessions()

    assert.equal((await auth.request({ url: '/session' })).statusCode, 200)
    assert.deepEqual(network.requests.map(({ call, status }) => [call, status]), [
      ['POST /login', 200],
      ['GET /session', 401],
      ['POST /login', 200],
      ['GET /session', 200],
    ])
  })

  it('shares that login among all requests that were refused', async () => {
    const auth = start()
    await auth.login()
    await stack.expireSessions()

    await Promise.all(Array.from({ length: 10 }, () => auth.request({ url: '/session' })))
    assert.equal(phone.logins(), 2)
  })

  it('does not go round in circles where every session is refused', async () => {
    network.answer('/orders', 401, { message: 'Unauthorized' }, { times: Infinity })
    const error = await failure(start().request({ url: '/orders' }))

    assert.deepEqual(brief(error), ['session_invalid', 'login_again', '登录已过期，请重新登录'])
    assert.equal(network.calls('GET /orders').length, 2)
    assert.equal(phone.logins(), 2)
  })

  it('takes the 403 of an API behind the authorizer for a refused session', async () => {
    network.answer('/orders', 403, { message: 'Forbidden' })
    network.answer('/orders', 200, { orders: [] })
    const { data } = await start({ apis: [network.url] }).request({ url: '/orders' })

    assert.deepEqual(data, { orders: [] })
    assert.equal(phone.logins(), 2)
  })

  it('does not fall back to a session that is refused while wx.checkSession is asked', async () => {
    const auth = start()
    await auth.login()
    await stack.expireSessions()
    const { checkSession } = phone.wx
    phone.wx.checkSession = options => setTimeout(checkSession, 200, options)
    const answer = auth.request({ url: '/session' })
    auth.login()

    assert.equal((await answer).statusCode, 200)
    assert.equal(phone.logins(), 2)
  })

  it('does not repeat what may have been done', async () => {
    network.loseAnswer('/orders')
    const error = await failure(start().request({ url: '/orders', method: 'POST', data: {} }))

    assert.deepEqual(brief(error), ['offline', 'retry', '网络不可用，请检查后重试'])
    assert.equal(network.calls('POST /orders').length, 1)
  })

  it('sends the session nowhere but to the APIs that were named', async () => {
    const auth = start({ apis: ['https://orders.example.com/v1/'] })
    for (const url of [
      'https://example.com/session',
      `${network.url}.example.com/session`,
      `${network.url}@example.com/session`,
      'https://orders.example.com/v2',
      'https://orders.example.com/v10',
      'file:///session',
    ]) {
      assert.equal((await failure(auth.request({ url }))).code, 'address_not_trusted', url)
    }
    assert.deepEqual(phone.calls, [])
    for (const url of [`${network.url}/session`, '//session', 'session?verify=false']) {
      assert.equal((await auth.request({ url })).statusCode, 200, url)
    }
  })

  it('logs nobody in again who has logged out meanwhile', async () => {
    const auth = start()
    await auth.login()
    await stack.expireSessions()
    network.slow('/session', 30)
    const refused = failure(auth.request({ url: '/session' }))
    await auth.logout()

    assert.equal((await refused).code, 'session_invalid')
    assert.equal(phone.logins(), 1)
  })
})

describe('getPhoneNumber of a new client', () => {
  it('gives the number, sent as the user who is logged in', async () => {
    const auth = start()
    const { token } = await auth.login()
    const event = await phone.tap()

    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
    const [sent] = network.calls('POST /phone')
    assert.deepEqual([sent.token, sent.body], [token, { code: event.detail.code }])
  })

  it('logs in first where nobody is logged in', async () => {
    assert.deepEqual(await start().getPhoneNumber(await phone.tap()), NUMBER)
    assert.deepEqual(phone.calls, ['wx.login', 'POST /login', 'POST /phone'])
  })

  it('gives one number for a double tap, from one exchange', async () => {
    const auth = start()
    const event = await phone.tap()
    const both = await Promise.all([auth.getPhoneNumber(event), auth.getPhoneNumber(event)])
    const later = await auth.getPhoneNumber(event)

    assert.deepEqual([...both, later], [NUMBER, NUMBER, NUMBER])
    assert.equal(network.calls('POST /phone').length, 2)
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('sends the same code again where the answer was lost, and gets the same number', async () => {
    const auth = start()
    const event = await phone.tap()
    network.loseAnswer('/phone')

    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
    const [first, second, third] = network.calls('POST /phone')
    assert.deepEqual([first.status, second.status, third], [200, 200, undefined])
    assert.deepEqual([first.body, first.token], [second.body, second.token])
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('gets the same number also where the session ends between the two', async () => {
    const auth = start()
    await auth.login()
    const event = await phone.tap()
    network.loseAnswer('/phone', 2)
    assert.equal((await failure(auth.getPhoneNumber(event))).code, 'offline')
    await stack.expireSessions()

    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
    const statuses = network.calls('POST /phone').map(({ status }) => status)
    assert.deepEqual(statuses, [200, 200, 401, 200])
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('gives up after one repeat, and works with the same tap once the network does', async () => {
    const auth = start()
    await auth.login()
    const event = await phone.tap()
    network.slow('/phone', 400, 2)
    const error = await failure(start({ timeout: 200 }).getPhoneNumber(event))

    assert.deepEqual(brief(error), ['timeout', 'retry', '网络较慢，请重试'])
    assert.deepEqual(phone.calls.slice(2), ['POST /phone', 'abort', 'POST /phone', 'abort'])
    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('says where there is no network, and works with the same tap afterwards', async () => {
    const auth = start()
    await auth.login()
    const event = await phone.tap()
    await network.goDown()
    const error = await failure(auth.getPhoneNumber(event))
    assert.deepEqual([error.code, error.action, error.status], ['offline', 'retry', 0])

    await network.comeBack()
    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
  })

  it('passes on what the server says of a code that is too old', async () => {
    const auth = start()
    await auth.login()
    const event = await phone.tap()
    await stack.wechat('POST', '/_control/clock', { advance: 301 })
    const error = await failure(auth.getPhoneNumber(event))
    await stack.wechat('POST', '/_control/clock', { advance: -301 })

    assert.deepEqual(brief(error),
      ['phone_code_rejected', 'authorize_again', '获取手机号失败，请重新点击授权'])
    assert.equal(error.status, 422)
    assert.match(error.message, /tap the getPhoneNumber button again/)
    assert.match(error.requestId, /./)
    assert.match(error.rid, /./)
  })

  it('keeps the tap good while WeChat is busy', async () => {
    const auth = start()
    const event = await phone.tap()
    await stack.wechat('POST', '/_control/faults', { endpoint: 'getPhoneNumber', kind: 'errcode' })
    const error = await failure(auth.getPhoneNumber(event))

    assert.deepEqual(brief(error),
      ['wechat_unavailable', 'retry', '微信服务繁忙，请稍后再试'])
    assert.deepEqual([error.status, error.retryAfter], [503, 2])
    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
  })
})

describe('getPhoneNumber of an old client', () => {
  it('gives the number from encryptedData and iv', async () => {
    const auth = start()
    await auth.login()
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
    assert.deepEqual(phone.calls, ['wx.login', 'POST /login', 'POST /decrypt'])
  })

  it('waits for a login that began before the tap', async () => {
    await start().login()
    await phone.expireSessionKey()
    network.slow('/login', 100)
    const auth = start()
    const login = auth.login()
    await eventually(() => network.requests.length === 2, () => 'no login is on its way')

    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
    assert.equal(network.calls('POST /decrypt')[0].token, (await login).token)
    assert.equal(phone.logins(), 2)
  })

  it('sends the same data again where the answer was lost', async () => {
    const auth = start()
    await auth.login()
    network.loseAnswer('/decrypt')
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
    assert.equal(network.calls('POST /decrypt').length, 2)
  })

  it('never calls wx.login before the data was sent', async () => {
    const auth = start()
    await auth.login()
    const event = await phone.oldTap()
    await stack.expireSessions()
    phone.calls.length = 0
    await failure(auth.getPhoneNumber(event))

    assert.equal(phone.calls[0], 'POST /decrypt')
    assert.equal(phone.logins(), 1)
  })

  it('gets ready for the next tap where nobody was logged in at this one', async () => {
    const auth = start()
    const error = await failure(auth.getPhoneNumber(await phone.oldTap()))

    assert.deepEqual(brief(error), ['not_logged_in', 'authorize_again', '登录已更新，请再点一次'])
    assert.equal(network.calls('POST /decrypt').length, 0)
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
  })

  it('logs in again where the session_key was replaced, and asks for one more tap', async () => {
    const auth = start()
    await auth.login()
    await phone.replaceSessionKey()
    const error = await failure(auth.getPhoneNumber(await phone.oldTap()))

    assert.deepEqual(brief(error), ['undecryptable', 'authorize_again', '登录已更新，请再点一次'])
    assert.match(error.requestId, /./)
    assert.equal(phone.logins(), 2)
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
  })

  it('logs in once for a double tap with a replaced session_key', async () => {
    const auth = start()
    await auth.login()
    await phone.replaceSessionKey()
    const event = await phone.oldTap()
    await Promise.all([failure(auth.getPhoneNumber(event)), failure(auth.getPhoneNumber(event))])
    assert.equal(phone.logins(), 2)
  })
})

describe('checkSession', () => {
  it('tells until when the session lives, with verify also if its session_key does', async () => {
    const auth = start()
    const { expiresAt } = await auth.login()
    assert.deepEqual(await auth.checkSession(), { expiresAt })
    const verified = await auth.checkSession({ verify: true })
    assert.deepEqual(verified, { expiresAt, sessionKeyValid: true })

    await phone.replaceSessionKey()
    const replaced = await auth.checkSession({ verify: true })
    assert.deepEqual(replaced, { expiresAt, sessionKeyValid: false })
  })

  it('is null where there is none, and logs nobody in', async () => {
    const auth = start()
    assert.equal(await auth.checkSession(), null)
    await auth.login()
    await stack.expireSessions()
    assert.equal(await auth.checkSession(), null)
    assert.deepEqual([phone.logins(), phone.storage.size], [1, 0])
  })

  it('does not take a dead network for a dead session', async () => {
    const auth = start()
    await auth.login()
    await network.goDown()
    assert.equal((await failure(auth.checkSession())).code, 'offline')
    assert.equal(phone.storage.size, 1)
    await network.comeBack()
  })
})

describe('logout', () => {
  async function statusOf(token) {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`${stack.api}/session`, { headers })).status
  }

  it('ends the session on the phone and on the server', async () => {
    const auth = start()
    const { token } = await auth.login()
    await auth.logout()

    assert.equal(phone.storage.size, 0)
    assert.equal(await statusOf(token), 401)
  })

  it('ends them on every device with all', async () => {
    const auth = start()
    const { token } = await auth.login()
    phone.storage.clear()
    const otherDevice = start()
    await otherDevice.login()
    await otherDevice.logout({ all: true })

    assert.equal(await statusOf(token), 401)
    assert.equal(await auth.checkSession(), null)
  })

  it('waits for a login in flight, so that nothing of it stays', async () => {
    const auth = start()
    const login = auth.login()
    await auth.logout()
    await login
    assert.equal(phone.storage.size, 0)
    assert.equal(await auth.checkSession(), null)
  })

  it('is done where the server has ended the session before, or nobody is logged in', async () => {
    const auth = start()
    assert.equal(await auth.logout(), undefined)
    await auth.login()
    await stack.expireSessions()
    assert.equal(await auth.logout(), undefined)
  })

  it('repeats once, and says where the server could not be told', async () => {
    const auth = start()
    await auth.login()
    network.loseAnswer('/session')
    await auth.logout()

    await auth.login()
    await network.goDown()
    assert.equal((await failure(auth.logout())).code, 'offline')
    assert.equal(phone.storage.size, 0)
    await network.comeBack()
  })
})

describe('errors', () => {
  it('are the same objects where an answer is no problem document', async () => {
    const auth = start()
    await auth.login()
    for (const [status, content, code, action] of [
      [502, '<html>Bad Gateway</html>', 'service_unavailable', 'retry'],
      [503, { message: 'Service Unavailable' }, 'service_unavailable', 'retry'],
      [413, { message: 'Request Entity Too Large' }, 'unexpected_answer', 'fix_request'],
      [404, { message: 'Not Found' }, 'unexpected_answer', 'fix_request'],
      [403, { message: 'No such thing' }, 'unexpected_answer', 'fix_request'],
    ]) {
      network.answer('/orders', status, content)
      const error = await failure(auth.request({ url: '/orders' }))
      assert.deepEqual([error.code, error.action, error.status], [code, action, status])
    }
    const headers = { 'RETRY-AFTER': '7' }
    network.answer('/orders', 429, { message: 'Too Many Requests' }, { headers })
    const error = await failure(auth.request({ url: '/orders' }))
    assert.deepEqual([error.code, error.action, error.retryAfter], ['too_many_requests', 'wait', 7])
  })

  it('have titles in English on demand, the server\'s too', async () => {
    const auth = start({ language: 'en' })
    const denied = { errMsg: 'getPhoneNumber:fail user deny' }
    assert.equal((await failure(auth.getPhoneNumber({ detail: denied }))).title, 'Not authorised')
    const spent = await phone.tap()
    await stack.wechat('POST', '/_control/codes/spend', { code: spent.detail.code })
    assert.equal((await failure(auth.getPhoneNumber(spent))).title,
      'Could not get the phone number, please tap the button again')
  })

  it('name a domain that is not registered, and time-outs in any language', async () => {
    for (const [given, code] of [
      [{ errno: 600002, errMsg: 'request:fail url not in domain list' }, 'domain_not_registered'],
      [{ errMsg: 'request:fail 请求超时。' }, 'timeout'],
      [{ errMsg: 'request:fail timeout' }, 'timeout'],
      [{ errno: 600003, errMsg: 'request:fail interrupted' }, 'offline'],
    ]) {
      phone.wx.request = ({ fail }) => fail(given)
      const error = await failure(start().login())
      assert.deepEqual([error.code, error.errMsg], [code, given.errMsg])
    }
  })

  it('have titles that two lines of a toast hold', () => {
    const source = fs.readFileSync(path.join(KIT, 'errors.js'), 'utf8')
    const titles = source.match(/'[^']*[\u4e00-\u9fff][^']*'/g).map(title => title.slice(1, -1))
    assert.ok(titles.length > 10)
    assert.deepEqual(titles.filter(title => title.length > 16), [])
  })
})

describe('the kit', () => {
  it('refuses to start without an address', () => {
    assert.throws(() => createAuth({}), /baseUrl, such as https:\/\/api.example.com/)
  })

  it('says what it needs outside WeChat', () => {
    assert.throws(() => createAuth({ baseUrl: 'https://api.example.com' }), /hand in what stands for it/)
  })

  it('uses the wx of the mini-program by itself', async () => {
    globalThis.wx = phone.wx
    await createAuth({ baseUrl: `${network.url}/` }).login()
    delete globalThis.wx
    assert.equal(phone.logins(), 1)
  })

  it('has types that name every code and action of the contract, and its own', () => {
    const types = fs.readFileSync(path.join(KIT, 'index.d.ts'), 'utf8')
    const contract = fs.readFileSync(path.join(KIT, '../../infra/openapi.yaml'), 'utf8')
    const own = fs.readFileSync(path.join(KIT, 'errors.js'), 'utf8')
    const union = name => {
      const [, members] = types.match(new RegExp(`type ${name} =\n((?:  .*\n)+)`))
      return members.match(/(?<=\| ')\w+/g)
    }
    const every = (text, pattern) => [...new Set(text.match(pattern))]

    // No operation of the contract has the error of a path that is not in it.
    const serverCodes = ['no_such_route',
      ...every(contract, /(?<=code: \{type: string, enum: \[)\w+/g)]
    const actions = every(contract, /(?<=action: \{type: string, enum: \[)\w+/g)
    assert.deepEqual(union('ServerCode').sort(), serverCodes.sort())
    assert.deepEqual(union('Action').sort(), actions.sort())
    const ownCodes = every(own, /(?<=^ {2})\w+(?=: \[)/gm)
    assert.deepEqual(union('LocalCode').sort(),
      ownCodes.filter(code => !serverCodes.includes(code)).sort())
  })

  for (const [name, text] of Object.entries(made())) {
    it(`is what ${name} is made of`, () => {
      assert.equal(fs.readFileSync(path.join(ROOT, name), 'utf8'), text, 'run: npm run copy-kit')
    })
  }
})
