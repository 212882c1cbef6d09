// The stack of `make run` on free ports, and what a test arranges behind the mini-program's back.

const { spawn } = require('node:child_process')
const path = require('node:path')
const readline = require('node:readline')

const ROOT = path.join(__dirname, '../..')
const PYTHON = process.env.PYTHON ||
  path.join(ROOT, process.platform === 'win32' ? '.venv/Scripts/python' : '.venv/bin/python')

const TWO_MINUTES = 120000

/** `limit`: milliseconds that the tests of a file may take. */
async function startStack(limit = TWO_MINUTES) {
  setTimeout(() => {
    console.error('the tests of this file take too long: one of them hangs')
    process.exit(1)
  }, limit).unref()
  const child = spawn(path.resolve(ROOT, PYTHON), ['-m', 'local.background'], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise(resolve => child.once('close', resolve))
  const addresses = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code => reject(new Error(`the stack ended with exit code ${code}`)))
    const lines = readline.createInterface({ input: child.stdout })
    lines.once('line', line => resolve(JSON.parse(line)))
  })

  async function wechat(method, route, body) {
    const answer = await fetch(addresses.wechat + route, {
      method,
      body: body && JSON.stringify(body),
    })
    const document = await answer.json()
    if (!answer.ok) throw new Error(document.error)
    return document
  }

  async function dynamodb(operation, body) {
    const answer = await fetch(addresses.aws, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `DynamoDB_20120810.${operation}`,
        authorization: 'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request',
      },
      body: JSON.stringify({ TableName: addresses.sessionsTable, ...body }),
    })
    if (!answer.ok) throw new Error(await answer.text())
    return answer.json()
  }

  return {
    api: addresses.api,
    phones: addresses.wechat, // where the simulated phones answer
    wechat,

    /** Let the lifetime of every session be over, as the server sees it. */
    async expireSessions() {
      const { Items: items } = await dynamodb('Scan', {})
      const alive = items.filter(({ sealed, expires_at: end }) => sealed && end.N !== '1')
      for (const { user, session } of alive) {
        await dynamodb('UpdateItem', {
          Key: { user, session },
          UpdateExpression: 'SET expires_at = :past',
          ExpressionAttributeValues: { ':past': { N: '1' } },
        })
      }
    },

    /** How often WeChat exchanged a phone code. */
    async exchanges(code) {
      return (await wechat('GET', '/_control/billed')).exchanges[code] || 0
    },

    async stop() {
      child.removeAllListeners('exit')
      child.stdin.end()
      await ended
    },
  }
}

module.exports = { startStack }
