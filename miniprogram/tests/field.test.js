// What frameworks, phones, gateways and other people's servers really send, by kind.

const assert = require('node:assert/strict')
const { after, afterEach, before, beforeEach, describe, it } = require('node:test')

const { createAuth } = require('../kit')
const { failure } = require('./failure')
const { startNetwork } = require('./network')
const { startPhone } = require('./phone')
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

const start = options => createAuth({ baseUrl: network.url, wx: phone.wx, ...options })

async function startLoggedIn(options) {
  const auth = start(options)
  await auth.login()
  phone.calls.length = 0
  return auth
}

const tokenOf = () => JSON.parse([...phone.storage.values()][0]).token

/** Vue's reactive() and Taro hand over objects like this. */
const proxied = value => (Object(value) === value
  ? new Proxy(value, { get: (target, name) => proxied(target[name]) })
  : value)

describe('the event of a tap', () => {
  class TaroEvent {
    constructor(mpEvent) {
      this.mpEvent = mpEvent
    }

    get detail() {
      return this.mpEvent.detail
    }
  }
  const shapes = {
    'native, Taro 3, Vue 3': detail => ({ type: 'getphonenumber', detail }),
    'getRealtimePhoneNumber': detail => ({ type: 'getrealtimephonenumber', detail }),
    'of mpvue': detail => ({ type: 'getphonenumber', mp: { detail } }),
    'the detail itself: uView, wot-design-uni, games': detail => detail,
    'of Taro, with getters': detail => new TaroEvent({ detail }),
    'of Remax': detail => ({ nativeEvent: { detail } }),
    'a proxy around each object': detail => proxied({ detail }),
    'a proxy around the detail of mpvue': detail => proxied({ mp: { detail } }),
    'frozen': detail => Object.freeze({ detail: Object.freeze(detail) }),
    'passed on by a component, as its detail': detail => ({ detail: { type: 'tap', detail } }),
    'passed on by a component of uni-app': detail => ({ detail: { __args__: [{ detail }] } }),
    'the arguments of the handler': detail => [detail],
  }
  for (const [name, shape] of Object.entries(shapes)) {
    it(`gives the number, of a new and of an old client: ${name}`, async () => {
      const auth = await startLoggedIn()
      const { code, ...rest } = (await phone.tap()).detail
      assert.deepEqual(await auth.getPhoneNumber(shape({ ...rest, code })), NUMBER)
      assert.deepEqual(await auth.getPhoneNumber(shape({ ...rest })), NUMBER)
      assert.deepEqual(phone.calls, ['POST /phone', 'POST /decrypt'])
    })

    it(`says that the user refused: ${name}`, async () => {
      const refused = { errMsg: 'getPhoneNumber:fail user deny' }
      assert.equal((await failure(start().getPhoneNumber(shape(refused)))).code, 'user_denied')
    })
  }

  it('may hold a cloudID and nothing else', async () => {
    const auth = await startLoggedIn()
    network.answer('/decrypt', 200, { data: NUMBER })
    const event = { detail: { errMsg: 'getPhoneNumber:ok', cloudID: '38_abc' } }
    assert.deepEqual(await auth.getPhoneNumber(event), NUMBER)
    assert.deepEqual(network.calls('POST /decrypt')[0].body, { cloudID: '38_abc' })
  })

  for (const given of [undefined, null, '', '0fCY6wS6tqgz', 7, {}, [], { detail: {} },
    { type: 'tap', detail: { x: 12, y: 8 } }, { mp: {} }]) {
    it(`is the developer's mistake where it is none: ${JSON.stringify(given)}`, async () => {
      const error = await failure(start().getPhoneNumber(given))
      assert.deepEqual([error.code, error.action], ['not_a_tap', 'fix_request'])
      assert.match(error.message, /bindgetrealtimephonenumber/)
      assert.deepEqual(phone.calls, [])
    })
  }
})

describe('a tap that gives nothing', () => {
  const meanings = {
    user_denied: ['authorize_again', [
      ['fail user deny'], ['fail:user deny'], ['fail:user denied'], ['fail user denied'],
      ['fail auth deny'], ['fail auth denied'], ['fail:user cancel'], ['fail cancel'],
      ['fail:cancelled by user'], ['fail user reject'], ['fail user refused to authorize'],
      ['fail:用户拒绝'], ['fail 用户取消'], ['fail 用户未授权'], ['fail 用户不允许'], ['fail 拒绝授权'],
      ['fail', 103], ['', 103], ['fail privacy', '103'], ['fail 取消绑定手机号'],
      ["fail user doesn't allow"],
    ]],
    no_permission: ['contact_support', [
      ['fail no permission'], ['fail jsapi has no permission'], ['fail:access denied'],
      ['fail Error: 该 appid 没有权限'], ['fail 该appid没有权限'], ['fail 无权限'], ['fail:permission denied'],
      ['fail 该小程序暂无此接口权限'], ['fail 没有获取手机号的权限'], ['fail 权限不足'], ['fail 小程序未认证'],
      ['fail api unauthorized'], ['fail no permission to get phone number'],
    ]],
    phone_quota_used_up: ['contact_support', [
      ['fail', 1400001], ['fail', '1400001'], ['fail 1400001'], ['fail no enough quota'],
      ['fail not enough quota'], ['fail quota exceeded'], ['fail 额度不足'], ['fail 剩余次数不足'],
      ['fail 次数已用完'], ['fail 余额不足'], ['fail insufficient balance'], ['fail 资源包已用完'],
    ]],
    privacy_not_declared: ['contact_support', [
      ['fail', 112], ['fail api scope is not declared in the privacy agreement'],
      ['fail appid privacy api banned'], ['fail:privacy api banned'], ['fail 隐私接口已被封禁'],
      ['fail 未在隐私保护指引中声明'], ['fail jsapi banned'],
    ]],
    privacy_not_agreed: ['authorize_again', [
      ['fail', 104], ['fail privacy permission is not authorized'],
      ['fail:privacy permission is not authorized'], ['fail 用户拒绝隐私授权'],
      ['fail user has not agreed to the privacy policy'], ['fail 隐私授权被取消'],
      ['fail 用户未同意隐私保护指引'], ['fail 隐私协议未授权'],
    ]],
    number_not_verified: ['contact_support', [
      ['fail 用户未绑定手机，请先在微信客户端进行绑定后重试'],
      ['fail 用户绑定的手机需要进行验证，请在客户端完成短信验证步骤'],
      ['fail Error: The mobile phone user bound needs to be verified. ' +
        'Please complete the SMS verification step on the client'],
      ['fail:user has not bound a phone'], ['fail no phone number bound'],
      ['fail 该微信号没有绑定手机号'], ['fail:请先绑定手机号'], ['fail 需要短信验证'],
    ]],
    not_a_tap: ['fix_request', [
      ['fail can only be invoked by user TAP gesture.'], ['fail 只能由用户点击触发'],
      ['fail:must be called by user tap'], ['fail not triggered by click'],
      ['fail 必须由用户手势触发'],
    ]],
    too_many_requests: ['wait', [['fail 操作过于频繁'], ['fail too frequently']]],
    tap_failed: ['authorize_again', [['fail system error'], ['fail'], ['fail:unknown'], ['ok']]],
  }
  for (const [code, [action, texts]] of Object.entries(meanings)) {
    for (const [text, errno] of texts) {
      it(`is ${code}: ${JSON.stringify(text)} ${errno || ''}`, async () => {
        for (const call of ['getPhoneNumber', 'getRealtimePhoneNumber']) {
          const errMsg = text && `${call}:${text}`
          const error = await failure(start().getPhoneNumber({ detail: { errMsg, errno } }))
          assert.deepEqual([error.code, error.action], [code, action])
          assert.deepEqual([error.errMsg, error.errno], [errMsg, errno])
          assert.ok(error.message.includes(errMsg), 'its text is kept')
          assert.deepEqual(phone.calls, [])
        }
      })
    }
  }

  it('has a title that asks for something else than a tap where none can help', async () => {
    const detail = { errMsg: 'getPhoneNumber:fail 用户未绑定手机' }
    assert.equal((await failure(start().getPhoneNumber({ detail }))).title, '请先在微信绑定并验证手机号')
  })

  it('may name the number of its failure errCode', async () => {
    const error = await failure(start().getPhoneNumber({ detail: { errCode: 1400001 } }))
    assert.deepEqual([error.code, error.errno], ['phone_quota_used_up', 1400001])
  })
})

describe('a 2xx', () => {
  const bodies = ['<html>maintenance</html>', '', 'ok', 'null', '{"ok":true}', '[]', '0',
    '{"token":"","expiresAt":1}', '{"token":"t","expiresAt":"soon"}', '{"data":{}}',
    '{"data":null}',
    '{"phoneNumber":"13800138000"}', '{"data":{"nickName":"a"}}', '"{}"',
    '{"phoneNumber":1,"purePhoneNumber":2,"countryCode":86}']
  const calls = {
    '/login': auth => auth.login(),
    '/phone': async auth => auth.getPhoneNumber(await phone.tap()),
    '/decrypt': async auth => auth.getPhoneNumber(await phone.oldTap()),
    '/session': auth => auth.checkSession(),
    '/session?all=true': auth => auth.logout({ all: true }),
  }
  for (const [route, call] of Object.entries(calls)) {
    it(`of ${route} that is not its answer is an unexpected answer`, async () => {
      const wrong = body => route !== '/session' || !/expiresAt":1/.test(body)
      for (const body of bodies.filter(wrong)) {
        phone.storage.clear()
        const auth = start()
        if (route !== '/login') await auth.login()
        network.answer(route, 200, body)
        const error = await failure(call(auth))
        assert.deepEqual([error.code, error.status], ['unexpected_answer', 200], body)
        let data = body
        try {
          data = JSON.parse(body)
        } catch {
          // A text, then.
        }
        assert.deepEqual(error.data, data === '{}' ? {} : data)
      }
    })
  }

  it('that the phone left as text is parsed, with a byte order mark too', async () => {
    const { request } = phone.wx
    phone.wx.request = options => request({
      ...options,
      success: answer => options.success({
        ...answer, data: answer.data && `\ufeff${JSON.stringify(answer.data)}\n`,
      }),
    })
    const auth = start()
    await auth.login()
    assert.deepEqual(await auth.getPhoneNumber(await phone.tap()), NUMBER)
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
    await stack.expireSessions()
    assert.equal(await auth.checkSession(), null, 'errors are read too')
  })

  it('of your own API is as it came: a text where it is no JSON, or was asked for', async () => {
    const auth = await startLoggedIn()
    for (const [body, data, more] of [
      ['<xml/>', '<xml/>'], ['123', 123], ['{"a":1}', { a: 1 }],
      ['"{}"', '{}', { dataType: 'text' }],
    ]) {
      network.answer('/orders', 200, body)
      assert.deepEqual((await auth.request({ url: '/orders', ...more })).data, data)
    }
  })
})

describe('403 Forbidden of API Gateway', () => {
  const FORBIDDEN = { message: 'Forbidden' }

  for (const [route, call] of Object.entries({
    '/phone': async auth => auth.getPhoneNumber(await phone.tap()),
    '/decrypt': async auth => auth.getPhoneNumber(await phone.oldTap()),
    '/session': auth => auth.checkSession(),
    '/session?verify=true': auth => auth.request({ url: '/session?verify=true' }),
    '/orders': auth => auth.request({ url: '/orders' }),
  })) {
    for (const apis of [[], ['baseUrl']]) {
      if (route === '/orders' && apis.length) continue
      it(`leaves the session alone on ${route}, apis: [${apis}]`, async () => {
        const auth = await startLoggedIn({ apis: apis.map(() => network.url) })
        const token = tokenOf()
        network.answer(route, 403, FORBIDDEN)
        const error = await failure(call(auth))
        assert.deepEqual([error.code, error.action], ['gateway_refused', 'contact_support'])
        assert.match(error.message, /API mapping or ICP filing, a WAF/)
        assert.deepEqual([phone.logins(), tokenOf()], [0, token])
      })
    }
  }

  it('is no dead session at the first login', async () => {
    network.answer('/login', 403, FORBIDDEN)
    assert.equal((await failure(start().login())).code, 'gateway_refused')
    assert.equal(phone.logins(), 1)
  })

  it('logs in once for an address in apis, and then knows that it is not the session', async () => {
    const auth = await startLoggedIn({ apis: [network.url] })
    network.answer('/admin', 403, FORBIDDEN, { times: Infinity })
    for (let click = 0; click < 3; click += 1) {
      assert.equal((await failure(auth.request({ url: '/admin' }))).code, 'gateway_refused')
    }
    assert.equal(phone.logins(), 1)
    assert.equal(network.calls('GET /admin').length, 4)
    assert.equal((await auth.request({ url: '/session' })).statusCode, 200, 'it is kept')
  })

  it('does not take a session away where no other can be had', async () => {
    const auth = await startLoggedIn({ apis: [network.url] })
    const token = tokenOf()
    network.answer('/admin', 403, FORBIDDEN)
    network.loseRequest('/login', 2)
    assert.equal((await failure(auth.request({ url: '/admin' }))).code, 'offline')
    assert.equal(tokenOf(), token)
  })

  for (const body of [
    { statusCode: 403, message: 'Forbidden' }, // NestJS
    { timestamp: '2026-01-01', status: 403, error: 'Forbidden', message: 'Forbidden' }, // Spring
    { message: 'forbidden' }, { detail: 'Forbidden' }, 'Forbidden', '<h1>403 Forbidden</h1>',
  ]) {
    it(`is another API's own where it says so otherwise: ${JSON.stringify(body)}`, async () => {
      const auth = await startLoggedIn({ apis: [network.url] })
      network.answer('/admin', 403, body)
      const error = await failure(auth.request({ url: '/admin' }))
      assert.deepEqual([error.code, error.status], ['unexpected_answer', 403])
      assert.deepEqual(error.data, body)
      assert.equal(phone.logins(), 0)
    })
  }
})

describe('an error of your own API', () => {
  for (const [status, body, message] of [
    [409, { code: 'OUT_OF_STOCK', message: '库存不足' }, '库存不足'],
    [400, { code: 1001, msg: '参数错误' }, '参数错误'],
    [422, { title: 'Sold out', detail: 'Come back tomorrow.' }, 'Come back tomorrow.'],
    [500, { error: 'Internal Server Error' }, 'Internal Server Error'],
    [409, { code: 'OUT_OF_STOCK', action: 'buy_less', message: 'no' }, 'no'],
  ]) {
    it(`keeps its text and its data: ${JSON.stringify(body)}`, async () => {
      const auth = await startLoggedIn()
      network.answer('/orders', status, body)
      const error = await failure(auth.request({ url: '/orders' }))
      assert.deepEqual([error.data, error.message, error.status], [body, message, status])
      assert.equal(error.code, status < 500 ? 'unexpected_answer' : 'service_unavailable')
      assert.match(error.title, /^(请求失败|服务繁忙，请稍后再试)$/)
    })
  }

  it('in the form of the backend\'s is one of those, its other members in data', async () => {
    const auth = await startLoggedIn()
    const problem = { code: 'sold_out', action: 'wait', title: '已售罄', detail: 'None left', left: 0 }
    network.answer('/orders', 409, problem)
    const { code, action, title, message, data } = await failure(auth.request({ url: '/orders' }))
    assert.deepEqual([code, action, title, message], ['sold_out', 'wait', '已售罄', 'None left'])
    assert.deepEqual(data, problem)
  })
})

describe('a request that wx does not send', () => {
  for (const [code, action, texts] of [
    ['tls_failed', 'contact_support', [
      'ssl hand shake error', '-202:net::ERR_CERT_AUTHORITY_INVALID', 'TLS 版本必须大于等于 1.2',
      'An SSL error has occurred and a secure connection to the server cannot be made.',
      '此服务器的证书无效。', '发生了 SSL 错误，无法建立与该服务器的安全连接。', 'errcode:-1202',
      'javax.net.ssl.SSLHandshakeException', 'errcode:-201 cronet_error_code:-201',
      'The certificate for this server is invalid.',
    ]],
    ['request_refused', 'fix_request', [
      'invalid url "undefined/login"', 'unsupported URL', '不支持的 URL', 'net::ERR_INVALID_URL',
      'parameter error: parameter.url should be String instead of Undefined;',
      'net::ERR_CLEARTEXT_NOT_PERMITTED',
    ]],
    ['domain_not_registered', 'fix_request', [
      'url not in domain list', '不在以下 request 合法域名列表中',
    ]],
    ['timeout', 'retry', ['timeout', '请求超时。', 'The request timed out.']],
    ['offline', 'retry', [
      'net::ERR_NAME_NOT_RESOLVED', 'interrupted', '网络不可用', 'net::ERR_INTERNET_DISCONNECTED',
      'errcode:-109 cronet_error_code:-109', 'abort', undefined,
    ]],
  ]) {
    it(`is ${code}`, async () => {
      for (const text of texts) {
        const errMsg = text && `request:fail ${text}`
        phone.wx.request = ({ fail }) => fail(errMsg && { errMsg })
        const error = await failure(start().login())
        assert.deepEqual([error.code, error.action, error.errMsg], [code, action, errMsg])
      }
    })
  }

  it('since wx.request threw is the developer\'s to mend', async () => {
    phone.wx.request = () => {
      throw new TypeError('data is not an object')
    }
    const error = await failure(start().login())
    assert.deepEqual([error.code, error.errMsg], ['request_refused', 'data is not an object'])
  })
})

describe('wx.login', () => {
  for (const result of [{}, { code: '' }, { code: null }, { code: 'the code is a mock one' },
    { code: 7, errMsg: 'login:ok' }, undefined]) {
    it(`gives no code: ${JSON.stringify(result)}`, async () => {
      let calls = 0
      phone.wx.login = ({ success }) => {
        calls += 1
        success(result)
      }
      const error = await failure(start().login())
      assert.deepEqual([error.code, error.action], ['login_failed', 'retry'])
      assert.match(error.message, /DevTools without an AppID/)
      assert.deepEqual([calls, network.requests.length], [2, 0])
    })
  }

  it('throws', async () => {
    phone.wx.login = () => {
      throw new Error('not here')
    }
    const error = await failure(start().login())
    assert.deepEqual([error.code, error.errMsg], ['login_failed', 'not here'])
  })

  it('fails once, and is asked once more', async () => {
    const { login } = phone.wx
    phone.wx.login = options => {
      phone.wx.login = login
      options.fail({ errMsg: 'login:fail' })
    }
    await start().login()
    assert.equal(phone.logins(), 1)
  })
})

describe('a wx made of promises', () => {
  const promising = (call, heeds) => options => new Promise((resolve, reject) => {
    const { success, fail } = options
    call({
      ...options,
      success(result) {
        if (heeds) success(result)
        resolve(result)
      },
      fail(result) {
        if (heeds) fail(result)
        reject(result)
      },
    })
  })
  for (const heeds of [true, false]) {
    it(`works where it ${heeds ? 'heeds' : 'ignores'} callbacks, and rejects as AuthError`,
      async () => {
        for (const name of ['login', 'checkSession', 'request']) {
          phone.wx[name] = promising(phone.wx[name], heeds)
        }
        const unhandled = []
        const note = reason => unhandled.push(reason)
        process.on('unhandledRejection', note)
        const auth = start()
        await auth.login()
        assert.deepEqual(await auth.getPhoneNumber(await phone.tap()), NUMBER)
        await phone.expireSessionKey()
        await start().login()
        assert.equal(phone.logins(), 2)
        await network.goDown()
        assert.equal((await failure(auth.request({ url: '/orders' }))).code, 'offline')
        await new Promise(resolve => setImmediate(resolve))
        process.off('unhandledRejection', note)
        assert.deepEqual(unhandled, [])
        await network.comeBack()
      })
  }
})

describe('a session that another account left on this phone', () => {
  async function changeAccount() {
    await start().login()
    const { storage } = phone
    phone = startPhone(stack)
    for (const [key, value] of storage) phone.storage.set(key, value)
    return start()
  }

  it('costs one tap of the new kind, not every one', async () => {
    const auth = await changeAccount()
    const error = await failure(auth.getPhoneNumber(await phone.tap()))
    assert.deepEqual([error.code, error.action, error.title],
      ['phone_code_rejected', 'authorize_again', '登录已更新，请再点一次'])
    assert.equal(phone.logins(), 1)
    assert.deepEqual(await auth.getPhoneNumber(await phone.tap()), NUMBER)
    assert.equal(phone.logins(), 1)
  })

  it('is not suspected again: a code that stays refused costs no more logins', async () => {
    const auth = await changeAccount()
    for (let taps = 0; taps < 3; taps += 1) {
      const event = await phone.tap()
      await stack.wechat('POST', '/_control/codes/spend', { code: event.detail.code })
      const error = await failure(auth.getPhoneNumber(event))
      assert.deepEqual([error.code, error.title], ['phone_code_rejected',
        taps ? '获取手机号失败，请重新点击授权' : '登录已更新，请再点一次'])
    }
    assert.equal(phone.logins(), 1)
  })

  it('is no session if it is not one', async () => {
    await start().login()
    const [key] = phone.storage.keys()
    for (const kept of ['token', { token: 't' }, { expiresAt: 9e9 }, 7, []]) {
      phone.wx.setStorageSync(key, kept)
      assert.ok((await start().login()).expiresAt > Date.now() / 1000)
    }
    assert.equal(phone.logins(), 6)
  })
})

describe('a tap for your own address', () => {
  let own

  beforeEach(async () => {
    own = await startNetwork(stack.api)
  })
  afterEach(() => own.stop())

  const bind = async (auth, event) => auth.getPhoneNumber(event, { url: `${own.url}/bind` })

  it('goes there as the user, in both kinds, and brings what it answers', async () => {
    const auth = await startLoggedIn({ apis: [own.url] })
    own.answer('/bind', 200, { bound: true }, { times: 3 })
    const { detail } = await phone.tap()
    const { code, encryptedData, iv } = detail

    assert.deepEqual(await bind(auth, { detail }), { bound: true })
    assert.deepEqual(await bind(auth, { mp: { detail: { encryptedData, iv } } }), { bound: true })
    assert.deepEqual(await bind(auth, { detail: { cloudID: '38_a' } }), { bound: true })
    const sent = own.calls('POST /bind').map(({ token, body }) => [token, body])
    assert.deepEqual(sent, [
      [tokenOf(), { code }], [tokenOf(), { encryptedData, iv }], [tokenOf(), { cloudID: '38_a' }],
    ])
    assert.equal(network.calls('POST /phone').length + network.calls('POST /decrypt').length, 0)
  })

  it('may be answered with nothing, not with a page', async () => {
    const auth = await startLoggedIn({ apis: [own.url] })
    own.answer('/bind', 204, '')
    assert.equal(await bind(auth, await phone.tap()), '')
    own.answer('/bind', 200, '<html>')
    const error = await failure(bind(auth, await phone.tap()))
    assert.deepEqual([error.code, error.data], ['unexpected_answer', '<html>'])
  })

  it('goes nowhere but to the addresses that were named', async () => {
    const auth = await startLoggedIn()
    const error = await failure(bind(auth, await phone.tap()))
    assert.equal(error.code, 'address_not_trusted')
    assert.deepEqual([phone.calls, own.requests], [[], []])
  })

  it('may be a route beside the backend\'s', async () => {
    const auth = await startLoggedIn()
    network.answer('/bind', 200, { bound: true })
    assert.deepEqual(await auth.getPhoneNumber(await phone.tap(), { url: 'bind' }), { bound: true })
  })

  it('that gave nothing is the same error', async () => {
    const auth = start({ apis: [own.url] })
    const refused = { detail: { errMsg: 'getPhoneNumber:fail user deny' } }
    assert.equal((await failure(bind(auth, refused))).code, 'user_denied')
    assert.equal((await failure(bind(auth, await phone.oldTap()))).code, 'not_logged_in')
    assert.deepEqual(own.requests, [])
  })

  it('is sent once for a double tap, and once more where the answer was lost', async () => {
    const auth = await startLoggedIn({ apis: [own.url] })
    const event = await phone.tap()
    own.loseRequest('/bind')
    own.answer('/bind', 200, { bound: true })
    assert.deepEqual(await Promise.all([bind(auth, event), bind(auth, event)]),
      [{ bound: true }, { bound: true }])
    assert.equal(own.calls('POST /bind').length, 2)
  })

  it('logs in again where the session is refused, and keeps your own errors', async () => {
    const auth = await startLoggedIn({ apis: [own.url] })
    const event = await phone.tap()
    own.answer('/bind', 403, { message: 'Forbidden' })
    own.answer('/bind', 409, { code: 'TAKEN', message: '已被绑定' })
    const error = await failure(bind(auth, event))
    assert.deepEqual([error.data, error.message, phone.logins()],
      [{ code: 'TAKEN', message: '已被绑定' }, '已被绑定', 1])
  })

  it('whose data your server could not have decrypted costs one more tap', async () => {
    const auth = await startLoggedIn({ apis: [own.url] })
    own.answer('/bind', 422, { code: 'undecryptable', action: 'login_again', title: 'x' })
    const error = await failure(bind(auth, await phone.oldTap()))
    assert.deepEqual([error.action, error.title, phone.logins()],
      ['authorize_again', '登录已更新，请再点一次', 1])
  })
})
