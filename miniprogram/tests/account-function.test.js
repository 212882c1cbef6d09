// The account function in Node.js of the guides, run as it stands, before a server of a team's.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { after, before, describe, it } = require('node:test')

const { ROOT } = require('./copy-kit')

const USER = { version: 1, appid: 'wx0123456789abcdef', openid: 'an-openid' }
const PHONE = {
  ...USER,
  event: 'phone',
  phoneNumber: '13800138000',
  purePhoneNumber: '13800138000',
  countryCode: '86',
  verifiedAt: 1795830799,
  by: 'phoneCode',
}

for (const guide of ['docs/account-function.md', 'docs/account-function.zh-CN.md']) {
  describe(`the account function of ${guide}`, () => {
    const asked = []
    let answer
    let server
    let handler

    before(async () => {
      server = http.createServer(async (request, response) => {
        const chunks = []
        for await (const chunk of request) chunks.push(chunk)
        asked.push([request.method, request.url, JSON.parse(Buffer.concat(chunks))])
        response.writeHead(answer.status).end(answer.body)
      })
      await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
      process.env.ACCOUNTS_URL = `http://127.0.0.1:${server.address().port}`
      const text = fs.readFileSync(path.join(ROOT, guide), 'utf8')
      const [, code] = /```mjs\n([^]*?)```/.exec(text)
      const module = `data:text/javascript,${encodeURIComponent(`${code}// ${guide}`)}`
      handler = (await import(module)).handler
    })
    after(() => {
      server.closeAllConnections()
      server.close()
    })

    it('hands a message on, and the answer back', async () => {
      answer = { status: 200, body: JSON.stringify({ id: 7, role: 'member', isNew: true }) }
      assert.deepEqual(await handler(PHONE), {
        accountId: '7',
        claims: { role: 'member' },
        account: { isNew: true },
      })
      assert.deepEqual(asked.at(-1), ['POST', '/wechat/phone', PHONE])
    })

    it('refuses with what the server says', async () => {
      answer = { status: 403, body: '该账号已注销' }
      assert.deepEqual(await handler({ ...USER, event: 'login' }), {
        refuse: { title: '该账号已注销' },
      })
    })

    it('fails where the server does, so that it is asked again', async () => {
      answer = { status: 500, body: '' }
      await assert.rejects(handler(PHONE), /accounts: HTTP 500/)
    })

    it('hands on what it is told, and answers nothing', async () => {
      const told = { ...USER, event: 'user_authorization_revoke', at: 1795830799, revoked: [8] }
      answer = { status: 204, body: '' }
      assert.deepEqual(await handler(told), {})
      assert.deepEqual(asked.at(-1), ['POST', '/wechat/user_authorization_revoke', told])
    })

    it('accepts events that it does not know', async () => {
      const before = asked.length
      assert.deepEqual(await handler({ ...USER, event: 'later' }), {})
      assert.equal(asked.length, before)
    })
  })
}
