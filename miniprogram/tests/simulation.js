// WeChat's own published simulation of the mini-program framework, on a DOM for it to render to.

const path = require('node:path')

const { JSDOM } = require('jsdom')

const { window } = new JSDOM('<!DOCTYPE html><body></body>')
for (const name of ['document', 'CustomEvent', 'Event', 'TouchEvent', 'Element']) {
  globalThis[name] = window[name]
}
globalThis.window = window

const simulate = require('miniprogram-simulate')

const simulatedWx = globalThis.wx
delete globalThis.wx // each phone has its own

const DEMO = path.join(__dirname, '../demo')

/**
 * Start the demo on a phone and open its page.
 *
 * The page is compiled by WeChat's own compiler where that runs here, else by the simulation's.
 */
function openDemo(phone, config) {
  globalThis.wx = phone.wx
  Object.assign(require(path.join(DEMO, 'config')), config)
  let app
  globalThis.App = definition => {
    app = definition
  }
  globalThis.getApp = () => app
  fresh(path.join(DEMO, 'app'))
  app.onLaunch()

  const page = simulate.render(simulate.load(path.join(DEMO, 'pages/index/index'), 'page', {
    compiler: process.platform === 'linux' && process.arch === 'x64' ? 'official' : 'simulate',
    rootPath: DEMO,
  }))
  page.attach(document.body)
  page.instance.onLoad()

  const all = selector => page.querySelectorAll(selector).map(({ dom }) => dom.textContent.trim())
  return {
    page,
    /** The text of the first such element; undefined where there is none. */
    text: selector => all(selector)[0],
    all,
    /** The user's finger: does nothing on a button that is disabled. */
    press(selector, event = 'tap', detail = {}) {
      const button = page.querySelector(selector)
      const disabled = button.toJSON().attrs.some(({ name, value }) => name === 'disabled' && value)
      if (!disabled) button.dispatchEvent(event, { detail })
      return !disabled
    },
    close() {
      page.instance.onUnload()
      page.detach()
    },
  }
}

function fresh(file) {
  delete require.cache[require.resolve(file)]
  return require(file)
}

/** Wait until `condition` holds; what the page shows takes a moment. */
async function eventually(condition, describe) {
  const deadline = Date.now() + 10000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`still not so after 10 s: ${describe()}`)
    await simulate.sleep(5)
  }
}

module.exports = { wx: simulatedWx, openDemo, eventually }
