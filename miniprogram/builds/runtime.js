// As much of the mini-program framework as built projects need to start in Node.js.

const fs = require('node:fs')
const path = require('node:path')

/** Start the app in `folder` on a phone, and open its page if it has one. */
function startBuilt(folder, phone, api) {
  const events = []
  let app
  let page
  Object.assign(globalThis, {
    api,
    auths: null,
    onTap: event => events.push(event),
    wx: {
      ...withItsPrototype(phone.wx),
      canIUse: () => true,
      getSystemInfoSync: () => ({}),
      getWindowInfo: () => ({}),
      getAppBaseInfo: () => ({}),
      getDeviceInfo: () => ({}),
    },
    App(definition) {
      app = definition
    },
    Page(definition) {
      page = definition
    },
    Component(definition) {
      page = { ...definition, ...definition.methods, ...definition.lifetimes }
    },
    Behavior: definition => definition,
    getApp: () => app,
    getCurrentPages: () => [page],
  })
  const loaded = new Map()
  load(path.join(folder, 'app.js'), folder, loaded)
  if (app && app.onLaunch) app.onLaunch({ path: 'pages/index/index', query: {} })
  const file = path.join(folder, 'pages/index/index.js')
  if (fs.existsSync(file)) {
    load(file, folder, loaded)
    open(page)
  }
  return {
    auths: globalThis.auths,
    /** What the page's own handler gets when the user taps its button. */
    async tap(detail) {
      const buttons = page.data['root.cn'] // of Taro, which has one handler for every element
      const id = buttons && buttons[0].sid
      const target = { id, dataset: { sid: id } }
      const event = { type: 'getphonenumber', detail, target, currentTarget: target, mark: {} }
      page[buttons ? 'eh' : page.data.a](event)
      return events.pop()
    },
  }
}

/** WeChat's require: relative, or a package that DevTools have built into miniprogram_npm. */
function load(file, root, loaded) {
  if (!loaded.has(file)) {
    const module = { exports: {} }
    loaded.set(file, module)
    const required = name => load(name.startsWith('.')
      ? path.join(path.dirname(file), name.endsWith('.js') ? name : `${name}.js`)
      : path.join(root, 'miniprogram_npm', name, 'index.js'), root, loaded)
    new Function('require', 'module', 'exports', fs.readFileSync(file, 'utf8'))(
      required, module, module.exports)
  }
  return loaded.get(file).exports
}

function open(page) {
  Object.assign(page, {
    data: { ...page.data },
    properties: {},
    is: 'pages/index/index',
    route: 'pages/index/index',
    triggerEvent() {},
    setData(changes, done) {
      Object.assign(page.data, changes)
      if (done) done()
    },
  })
  for (const stage of ['created', 'attached', 'onLoad', 'onShow', 'ready', 'onReady']) {
    if (page[stage]) page[stage]({})
  }
}

// Frameworks copy wx by its own properties.
function withItsPrototype(wx) {
  const all = {}
  for (const name in wx) all[name] = wx[name]
  return all
}

module.exports = { startBuilt }
