// The demo mini-program, rendered and tapped in WeChat's own simulation, against the real stack.
// Each test is one situation of a user; what is checked is what the page says.

const assert = require('node:assert/strict')
const { after, afterEach, before, beforeEach, describe, it, mock } = require('node:test')

const { startNetwork } = require('./network')
const { startPhone } = require('./phone')
const { eventually, openDemo } = require('./simulation')
const { startStack } = require('./stack')

let stack
let network
let phone
let demo

before(async () => {
  stack = await startStack()
})
after(() => stack && stack.stop())

beforeEach(async () => {
  network = await startNetwork(stack.api)
  phone = startPhone(stack)
})
afterEach(async () => {
  demo.close()
  await network.stop()
})

function open(config) {
  demo = openDemo(phone, {
    baseUrl: network.url, simulatedPhone: '', timeout: 10000, ...config,
  })
}

const shows = (selector, text) => eventually(
  () => (text instanceof RegExp ? text.test(demo.text(selector)) : demo.text(selector) === text),
  () => `${selector} says ${demo.text(selector)} and not ${text}`
)
const isIdle = () => eventually(() => demo.page.data.busy === false, () => 'the page is busy')

const LOGGED_IN = /^已登录，\d+月\d+日前有效$/

/** Open the demo and wait until it has logged in, as a user would hardly notice. */
async function openLoggedIn(config) {
  open(config)
  await shows('.login', LOGGED_IN)
}

const tapNew = event => demo.press('.new', 'getphonenumber', event.detail)
const tapOld = event => demo.press('.old', 'getphonenumber', event.detail)

describe('what a user meets', () => {
  it('first start: logged in before any tap, no number yet', async () => {
    open()
    assert.equal(demo.text('.login'), '登录中…')
    await shows('.login', LOGGED_IN)

    assert.equal(demo.text('.phone'), '未获取')
    assert.deepEqual(demo.all('.message__name'), ['POST /login', 'wx.login'])
    assert.deepEqual(phone.calls, ['wx.login', 'POST /login'], 'one login for app and page')
  })

  it('refusal: says so, sends nothing, and the button is there for another try', async () => {
    await openLoggedIn()
    tapNew({ detail: { errMsg: 'getPhoneNumber:fail user deny' } })
    await shows('.problem__title', '已取消授权')

    assert.equal(demo.text('.problem__hint'), 'user_denied')
    assert.equal(demo.text('.retry'), undefined)
    assert.equal(demo.text('.phone'), '未获取')
    assert.equal(network.calls('POST /phone').length, 0)

    tapNew(await phone.tap())
    await shows('.phone', '138****8000')
    assert.equal(demo.text('.problem__title'), undefined)
  })

  it('new client: one tap, one request, the number', async () => {
    await openLoggedIn()
    tapNew(await phone.tap())
    await shows('.phone', '138****8000')

    assert.equal(demo.all('.message__name')[0], 'POST /phone')
    assert.equal(demo.all('.message__status')[0], '200')
    const [sent, answered] = demo.all('.message__body')
    assert.match(sent, /^发送 Authorization: Bearer .{4}….{4}\s\{ "code": ".{4}….{4}" \}$/)
    assert.match(answered, /"phoneNumber": "138\*\*\*\*8000"/)
  })

  it('old client: encryptedData and iv, the same number', async () => {
    await openLoggedIn()
    tapOld(await phone.oldTap())
    await shows('.phone', '138****8000')

    assert.equal(demo.all('.message__name')[0], 'POST /decrypt')
    const [sent] = demo.all('.message__body')
    assert.match(sent, /"encryptedData": ".{4}….{4}", "iv": ".{4}….{4}"/)
    assert.equal(phone.logins(), 1)
  })

  it('double tap: one number, exchanged once', async () => {
    await openLoggedIn()
    const event = await phone.tap()
    tapNew(event)
    tapNew(event)
    await shows('.phone', '138****8000')
    await isIdle()

    assert.equal(demo.text('.problem__title'), undefined)
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('reply lost: the same code again, the same number, no second consent', async () => {
    await openLoggedIn()
    const event = await phone.tap()
    network.loseAnswer('/phone')
    tapNew(event)
    await shows('.phone', '138****8000')

    assert.deepEqual(demo.all('.message__status').slice(0, 2), ['200', '失败'])
    assert.equal(network.calls('POST /phone').length, 2)
    assert.equal(await stack.exchanges(event.detail.code), 1)
    assert.deepEqual(phone.toasts, [])
  })

  it('session expired: logged in again silently, the number all the same', async () => {
    await openLoggedIn()
    await stack.expireSessions()
    tapNew(await phone.tap())
    await shows('.phone', '138****8000')

    const conversation = ['POST /phone', 'POST /login', 'wx.login', 'POST /phone']
    assert.deepEqual(demo.all('.message__name').slice(0, 4), conversation)
    assert.deepEqual(demo.all('.message__status').slice(0, 4), ['200', '200', 'ok', '401'])
    assert.deepEqual(phone.toasts, [])
  })

  it('session_key replaced: asks for one more tap, which works', async () => {
    await openLoggedIn()
    await phone.replaceSessionKey()
    tapOld(await phone.oldTap())
    await shows('.problem__title', '登录已更新，请再点一次')
    assert.match(demo.text('.problem__hint'), /^undecryptable · ./)
    await shows('.login', LOGGED_IN)

    tapOld(await phone.oldTap())
    await shows('.phone', '138****8000')
    assert.equal(demo.text('.problem__title'), undefined)
  })

  it('server down: says so, and the same tap works once it is back', async () => {
    await openLoggedIn()
    const event = await phone.tap()
    await network.goDown()
    tapNew(event)
    await shows('.problem__title', '网络不可用，请检查后重试')
    assert.deepEqual(phone.toasts, ['网络不可用，请检查后重试'])
    assert.equal(demo.text('.phone'), '未获取')

    await network.comeBack()
    demo.press('.retry')
    await shows('.phone', '138****8000')
    assert.equal(demo.text('.retry'), undefined)
    assert.equal(await stack.exchanges(event.detail.code), 1)
  })

  it('slow network: the button waits, then a time-out, then the same number for the same tap',
    async () => {
      await openLoggedIn({ timeout: 1000 })
      const event = await phone.tap()
      network.slow('/phone', 1500, 2)
      tapNew(event)
      await eventually(() => demo.page.data.busy, () => 'the page is not busy')
      assert.equal(tapNew(event), false, 'a disabled button takes no tap')
      await shows('.problem__title', '网络较慢，请重试')

      demo.press('.retry')
      await shows('.phone', '138****8000')
      assert.equal(await stack.exchanges(event.detail.code), 1)
    })
})

describe('the rest of the page', () => {
  it('a start without network says so, and logs in with the first tap that has one', async () => {
    await network.goDown()
    open()
    await shows('.login', '网络不可用，请检查后重试')
    await network.comeBack()
    tapNew(await phone.tap())
    await shows('.phone', '138****8000')
    await shows('.login', LOGGED_IN)
  })

  for (const [when, remind] of [
    ['by itself', () => {}],
    ['at once when the page is shown again', () => demo.page.instance.onShow()],
  ]) {
    it(`a start that failed logs in ${when}`, async () => {
      await network.goDown()
      open()
      await shows('.login', '网络不可用，请检查后重试')
      await network.comeBack()
      remind()
      await shows('.login', LOGGED_IN)
    })
  }

  for (const [what, kind] of [['drops the reply to', 'drop_after'], ['fails at', 'status']]) {
    it(`a start that WeChat ${what} logs in by itself, with a new code`, async () => {
      const fault = { endpoint: 'code2Session', kind, times: null }
      await stack.wechat('POST', '/_control/faults', fault)
      open()
      await shows('.login', '登录未完成，请重试')
      await stack.wechat('DELETE', '/_control/faults')
      await shows('.login', LOGGED_IN)

      const [first, second, ...more] = network.calls('POST /login')
      assert.deepEqual([first.status, second.status, more], [503, 200, []])
      assert.notEqual(first.body.code, second.body.code)
    })
  }

  it('a start that WeChat found too frequent logs in again no sooner than it should', async () => {
    const fault = { endpoint: 'code2Session', kind: 'errcode', errcode: 45011 }
    await stack.wechat('POST', '/_control/faults', fault)
    const { mock: timers } = mock.method(globalThis, 'setTimeout')
    open()
    await shows('.login', '操作过于频繁，请稍后再试')
    timers.restore()
    // Those of the page: the requests of the kit end after 10 s, and the test looks often.
    const pauses = timers.calls.map(call => call.arguments[1]).filter(pause => pause > 10000)
    assert.deepEqual(pauses, [60000])

    demo.page.instance.onShow()
    await shows('.login', LOGGED_IN)
    assert.deepEqual(network.calls('POST /login').map(({ status }) => status), [429, 200])
  })

  it('a check that failed offers no second use of a tap that succeeded', async () => {
    await openLoggedIn()
    tapNew(await phone.tap())
    await shows('.phone', '138****8000')
    await isIdle()
    await network.goDown()
    demo.press('.check')
    await shows('.problem__title', '网络不可用，请检查后重试')
    assert.equal(demo.text('.retry'), undefined)
  })

  for (const [link, toast] of [['.check', '登录有效'], ['.logout', null]]) {
    it(`a problem is not shown any more after ${link}`, async () => {
      await openLoggedIn()
      await network.goDown()
      tapNew(await phone.tap())
      await shows('.retry', '重试')
      await network.comeBack()
      demo.press(link)
      await shows('.problem__title', undefined)
      await eventually(() => !toast || phone.toasts.at(-1) === toast, () => 'no toast')
      await shows('.login', toast ? LOGGED_IN : '未登录')
      assert.equal(demo.text('.retry'), undefined)
    })
  }

  it('who has logged out is not logged in again because the page is shown', async () => {
    await network.goDown()
    open()
    await shows('.login', '网络不可用，请检查后重试')
    demo.press('.logout')
    await shows('.login', '未登录')
    assert.equal(demo.page.instance.onShow(), undefined)
  })

  it('logging out forgets the number; checking then says that nobody is logged in', async () => {
    await openLoggedIn()
    demo.press('.check')
    await eventually(() => phone.toasts.length === 1, () => 'no toast')
    tapNew(await phone.tap())
    await shows('.phone', '138****8000')
    demo.press('.logout')
    await shows('.login', '未登录')
    assert.equal(demo.text('.phone'), '未获取')
    demo.press('.check')
    await eventually(() => phone.toasts.length === 2, () => 'no second toast')
    assert.deepEqual(phone.toasts, ['登录有效', '未登录'])
  })

  it('works by itself on the local stack, whose phone is simulated', async () => {
    await openLoggedIn({ simulatedPhone: stack.phones })
    demo.press('.new')
    await shows('.phone', '138****8000')
    assert.equal(demo.all('.message__name')[0], 'POST /phone')
    demo.press('.old')
    await eventually(() => demo.all('.message__name')[0] === 'POST /decrypt', () => 'no decrypt')
    await isIdle()
    assert.equal(demo.text('.problem__title'), undefined)
    assert.equal(phone.logins(), 0)
  })

  it('shows no token, code or number whole', async () => {
    await openLoggedIn()
    const [{ token }] = [...phone.storage.values()].map(JSON.parse)
    const event = await phone.tap()
    tapNew(event)
    await shows('.phone', '138****8000')
    tapOld(event)
    await eventually(() => demo.all('.message__name')[0] === 'POST /decrypt', () => 'no decrypt')
    await isIdle()

    const shown = demo.all('.message').join('\n')
    const { code, encryptedData, iv } = event.detail
    const secrets = [token, code, encryptedData, iv, '13800138000']
    secrets.push(network.calls('POST /login')[0].body.code)
    assert.deepEqual(secrets.filter(secret => shown.includes(secret.slice(0, 8))), [])
  })
})
