const { createAuth } = require('./kit/index')
const config = require('./config')
const simulatedPhone = require('./simulated-phone')
const traced = require('./trace')

App({
  onLaunch() {
    this.messages = []
    this.simulatedPhone = config.simulatedPhone ? simulatedPhone(wx, config.simulatedPhone) : null
    this.auth = createAuth({
      baseUrl: config.baseUrl,
      timeout: config.timeout,
      // Only for the list on the page; without it this line is not needed.
      wx: traced(this.simulatedPhone || wx, message => this.onMessage(message)),
    })
    // Ahead of any tap, and never in its callback: wx.login may replace the session_key that the
    // tap's data is encrypted with. Who needs the session later waits for this login.
    this.auth.login().catch(() => {})
  },

  onMessage(message) {
    this.messages = [message].concat(this.messages.filter(({ id }) => id !== message.id))
    if (this.messagesChanged) this.messagesChanged(this.messages)
  },
})
