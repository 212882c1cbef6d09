// What the demo shows of the conversation: every call of wx.login and wx.request, secrets masked.

let calls = 0

/** wx, telling `onMessage` of each call once when it is made and once when it is answered. */
module.exports = function traced(wx, onMessage) {
  function follow(name, options, call, sent, answered) {
    const started = Date.now()
    const message = { id: `m${calls += 1}`, name, sent, status: '…', answered: '', ok: true }
    const end = changes => onMessage(Object.assign({}, message, changes, {
      time: `${Date.now() - started} ms`,
    }))
    onMessage(message)
    return call(Object.assign({}, options, {
      success(result) {
        end(answered(result))
        options.success(result)
      },
      fail(result) {
        end({ status: '失败', answered: result.errMsg, ok: false })
        options.fail(result)
      },
    }))
  }

  return Object.create(wx, {
    login: {
      value: options => follow('wx.login', options, all => wx.login(all), '',
        ({ code }) => ({ status: 'ok', answered: text({ code }, SECRETS) })),
    },
    request: {
      value: options => follow(
        `${options.method || 'GET'} ${options.url.replace(/^https?:\/\/[^/]+/, '')}`,
        options,
        all => wx.request(all),
        [bearer(options.header), text(options.data, SECRETS)].filter(Boolean).join('\n'),
        // A `code` in an answer is the name of an error.
        ({ statusCode, data }) => ({
          status: String(statusCode),
          answered: text(data, SECRETS.filter(name => name !== 'code')),
          ok: statusCode < 400,
        })
      ),
    },
  })
}

const SECRETS = ['code', 'token', 'encryptedData', 'iv']

function bearer({ Authorization: authorization } = {}) {
  return authorization ? `Authorization: Bearer ${masked(authorization.slice(7))}` : ''
}

function text(body, secrets) {
  if (!body) return ''
  return JSON.stringify(body, (name, value) => {
    if (typeof value !== 'string') return value
    if (/phoneNumber$/i.test(name)) return maskedNumber(value)
    return secrets.indexOf(name) < 0 ? value : masked(value)
  }, 1).replace(/\n */g, ' ')
}

// Enough to tell two apart: tokens of one user begin alike.
function masked(secret) {
  return `${secret.slice(0, 4)}…${secret.slice(-4)}`
}

function maskedNumber(number) {
  return number.length > 7 ? `${number.slice(0, -8)}****${number.slice(-4)}` : '****'
}

module.exports.maskedNumber = maskedNumber
