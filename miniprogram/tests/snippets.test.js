// The JavaScript of the guides, run as it stands: nothing that is no answer is stored or shown.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { describe, it } = require('node:test')
const vm = require('node:vm')

const kit = require('../kit')
const { ROOT } = require('./copy-kit')

const GUIDES = ['.', 'docs', 'miniprogram/kit'].flatMap(folder => (
  fs.readdirSync(path.join(ROOT, folder)).filter(name => name.endsWith('.md'))
    .map(name => path.join(folder, name))
))
const NUMBER = { phoneNumber: '13800138000', purePhoneNumber: '13800138000', countryCode: '86' }
const ANSWERS = {
  '/login': { token: 'a token', expiresAt: 9e9 },
  '/phone': NUMBER,
  '/decrypt': { data: NUMBER },
  '/bind': { masked: '138****8000' },
}
const EVENTS = [
  { errMsg: 'getPhoneNumber:ok', code: 'a code', encryptedData: 'data', iv: 'iv' },
  { errMsg: 'getPhoneNumber:ok', encryptedData: 'data', iv: 'iv' },
  { errMsg: 'getPhoneNumber:fail user deny' },
]

const snippetsOf = guide => [
  ...fs.readFileSync(path.join(ROOT, guide), 'utf8').matchAll(/```(?:js|javascript)\n([^]*?)```/g),
].map(([, code]) => code)

/** Run them in one project; what was stored and shown, in order. */
async function play(snippets, answer) {
  const stored = []
  const shown = []
  const storage = {}
  const said = []
  let app
  const project = vm.createContext({
    BASE_URL: 'https://api.example.com',
    console: { log: (...what) => said.push(what), error: (...what) => said.push(what) },
    require: () => kit,
    getApp: () => app,
    App(definition) {
      app = definition
      app.onLaunch()
    },
    wx: {
      login: ({ success }) => success({ code: 'code' }),
      request: ({ url, success }) => success({ header: {}, ...answer(new URL(url).pathname) }),
      showToast: ({ title }) => said.push(title),
      getStorageSync: key => storage[key] || '',
      setStorageSync(key, value) {
        storage[key] = value
        stored.push(value.token || value)
      },
      removeStorageSync: key => delete storage[key],
    },
  })
  // The kit's wx is that of the mini-program.
  globalThis.wx = project.wx
  for (const code of snippets) {
    if (!/^\w+\(.*\) \{$/m.test(code.replace(/^\/\/.*\n/gm, '').split('\n')[0])) {
      vm.runInContext(code, project)
    } else {
      const page = vm.runInContext(`({ ${code} })`, project)
      page.setData = data => shown.push({ ...data })
      for (const detail of EVENTS) {
        for (const handler of Object.keys(page).filter(name => name.startsWith('on'))) {
          page[handler]({ detail })
        }
      }
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  delete globalThis.wx
  return { stored, shown, said }
}

for (const guide of GUIDES.filter(each => snippetsOf(each).length)) {
  describe(`the snippets of ${guide}`, () => {
    it('store the token and show the number that a 200 brings', async () => {
      const { stored, shown } = await play(snippetsOf(guide),
        route => ({ statusCode: 200, data: ANSWERS[route] }))
      assert.ok(stored.every(token => token === 'a token'))
      const numbers = new Set(shown.map(({ phone }) => phone))
      numbers.delete('13800138000')
      numbers.delete('138****8000')
      assert.deepEqual([...numbers], [])
      assert.equal(shown.length > 0, /setData/.test(snippetsOf(guide)))
      assert.equal(stored.length > 0, /setStorage|createAuth/.test(snippetsOf(guide)))
    })

    for (const [status, data] of [
      [422, { code: 'undecryptable', action: 'login_again', title: '登录已更新' }],
      [502, '<html>Bad Gateway</html>'],
    ]) {
      it(`store and show nothing of a ${status}, and say so`, async () => {
        const { stored, shown, said } = await play(snippetsOf(guide),
          () => ({ statusCode: status, data }))
        assert.deepEqual([stored, shown], [[], []])
        assert.ok(said.length > 0)
      })
    }
  })
}
