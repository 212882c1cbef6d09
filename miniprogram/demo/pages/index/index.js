const { maskedNumber } = require('../../trace')

const app = getApp()

// Made by Component rather than Page so that miniprogram-simulate can render it:
// developers.weixin.qq.com/miniprogram/dev/framework/custom-component/component.html
Component({
  data: {
    login: { ok: false, text: '登录中…' },
    phone: '',
    busy: false,
    problem: null,
    messages: [],
    simulated: false,
  },

  methods: {
    onLoad() {
      app.messagesChanged = messages => this.setData({ messages: messages.slice(0, 20) })
      this.setData({ simulated: Boolean(app.simulatedPhone), messages: app.messages })
      return this.showLogin()
    },

    /** Back on the screen: try at once what waits for its time. */
    onShow() {
      return this.loginAgain ? this.showLogin() : undefined
    },

    onUnload() {
      app.messagesChanged = null
      clearTimeout(this.loginAgain)
    },

    /** bindgetphonenumber, or bindgetrealtimephonenumber: the button that most should have. */
    onPhoneNumber(event) {
      return this.askNumber(event)
    },

    /** The same, as a client before base library 2.21.2 would give it: without `code`. */
    onOldPhoneNumber({ detail }) {
      const { errMsg, errno, encryptedData, iv } = detail
      return this.askNumber({ detail: { errMsg, errno, encryptedData, iv } })
    },

    onSimulatedTap({ currentTarget }) {
      return app.simulatedPhone.tap().then(event => (
        currentTarget.dataset.old ? this.onOldPhoneNumber(event) : this.onPhoneNumber(event)
      ))
    },

    /** Once more with the same tap: the same number, and no second consent. */
    onRetry() {
      return this.askNumber(this.tap)
    },

    askNumber(event) {
      this.setData({ busy: true, problem: null })
      return app.auth.getPhoneNumber(event)
        .then(
          ({ countryCode, purePhoneNumber }) => {
            const abroad = countryCode === '86' ? '' : `+${countryCode} `
            this.setData({ phone: abroad + maskedNumber(purePhoneNumber), busy: false })
            return this.showLogin()
          },
          error => {
            this.setData({ busy: false })
            this.showProblem(error, event)
            // With these two the kit has logged in again, and only the next tap is missing.
            const loggedIn = ['not_logged_in', 'undecryptable'].indexOf(error.code) >= 0
            return loggedIn ? this.showLogin() : undefined
          }
        )
    },

    onCheckSession() {
      this.setData({ problem: null })
      return app.auth.checkSession({ verify: true }).then(
        state => {
          let title = '未登录'
          if (state) title = state.sessionKeyValid ? '登录有效' : '登录有效，session_key 已更换'
          wx.showToast({ title, icon: 'none' })
        },
        error => this.showProblem(error)
      )
    },

    onLogout() {
      clearTimeout(this.loginAgain)
      this.loginAgain = null
      this.setData({ problem: null })
      const shown = () => this.setData({ login: { ok: false, text: '未登录' }, phone: '' })
      return app.auth.logout().then(shown, error => {
        shown()
        this.showProblem(error)
      })
    },

    showLogin() {
      clearTimeout(this.loginAgain)
      this.loginAgain = null
      return app.auth.login().then(
        ({ expiresAt }) => {
          this.pause = 0
          this.setData({ login: { ok: true, text: `已登录，${day(expiresAt)}前有效` } })
        },
        ({ action, title, retryAfter }) => {
          this.setData({ login: { ok: false, text: title } })
          // Each login brings a new code, so `login_again` is no different here.
          if (['retry', 'login_again', 'wait'].indexOf(action) < 0) return
          // Less and less often, so that many phones do not keep a busy backend busy.
          const doubled = Math.min(2 * (this.pause || 1000), 60000)
          this.pause = Math.max(doubled, 1000 * (retryAfter || 0))
          this.loginAgain = setTimeout(() => this.showLogin(), this.pause)
        }
      )
    },

    /** `tap`: what a retry sends once more; only where a tap is what failed. */
    showProblem(error, tap) {
      this.tap = tap
      wx.showToast({ title: error.title, icon: 'none' })
      this.setData({
        problem: {
          title: error.title,
          hint: [error.code, error.requestId].filter(Boolean).join(' · '),
          retry: error.action === 'retry' && Boolean(tap),
        },
      })
    },
  },
})

function day(expiresAt) {
  const date = new Date(expiresAt * 1000)
  return `${date.getMonth() + 1}月${date.getDate()}日`
}
