// The client kit on somebody's phone: logs in, sends a tap to the team's own server, then the same
// tap to this backend. Prints what both answered, and how often WeChat exchanged the code.
//
// node kit.js <API> <simulated WeChat> <the team's server>

const { createAuth } = require('../../miniprogram/kit')
const { startPhone } = require('../../miniprogram/tests/phone')

const [api, phones, server] = process.argv.slice(2)

async function wechat(method, route, body) {
  const answer = await fetch(phones + route, { method, body: body && JSON.stringify(body) })
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json()
}

async function main() {
  const phone = startPhone({ wechat })
  const auth = createAuth({ baseUrl: api, apis: [server], wx: phone.wx })
  await auth.login()
  const tap = await phone.tap()
  const bound = await auth.getPhoneNumber(tap, { url: `${server}/bind` })
  const number = await auth.getPhoneNumber(tap)
  const { data: me } = await auth.request({ url: `${server}/me` })
  const { exchanges } = await wechat('GET', '/_control/billed')
  console.log(JSON.stringify({ bound, number, me, exchanges: exchanges[tap.detail.code] }))
  process.exit(0) // miniprogram-simulate leaves timers behind
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
