// The network between a phone and the API: it records what passes, and fails on demand.

const http = require('node:http')

async function startNetwork(target) {
  const sockets = new Set()
  const faults = []
  const requests = []

  const server = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const content = Buffer.concat(chunks)
    const path = request.url
    const record = {
      call: `${request.method} ${path}`,
      token: (request.headers.authorization || '').replace('Bearer ', ''),
      headers: request.headers,
      body: content.length ? JSON.parse(content) : null,
      status: 0,
    }
    requests.push(record)
    const fault = faults.find(each => path.startsWith(each.path) && each.times > 0) || {}
    fault.times -= 1

    if (fault.kind === 'request lost') {
      request.socket.destroy()
      return
    }
    const answer = fault.answer || await forward(request, content)
    record.status = answer.status
    if (fault.kind === 'answer lost') {
      request.socket.destroy()
      return
    }
    setTimeout(() => {
      response.writeHead(answer.status, answer.headers)
      response.end(answer.content)
    }, fault.late || 0)
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })

  function forward(request, content) {
    return new Promise((resolve, reject) => {
      const { method, url, headers } = request
      http.request(target + url, { method, headers, agent: false }, async reply => {
        const chunks = []
        for await (const chunk of reply) chunks.push(chunk)
        const { statusCode: status, headers: given } = reply
        resolve({ status, headers: given, content: Buffer.concat(chunks) })
      }).on('error', reject).end(content)
    })
  }

  const listen = port => new Promise(resolve => server.listen(port, '127.0.0.1', resolve))
  const close = () => new Promise(resolve => {
    server.close(resolve)
    for (const socket of sockets) socket.destroy()
  })
  await listen(0)
  const { port } = server.address()

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    /** The calls of one route, oldest first. */
    calls: route => requests.filter(({ call }) => call === route),
    /** The request never arrives. */
    loseRequest: (path, times = 1) => faults.push({ path, times, kind: 'request lost' }),
    /** The work is done, and nobody hears of it. */
    loseAnswer: (path, times = 1) => faults.push({ path, times, kind: 'answer lost' }),
    /** The answer comes `late` milliseconds late. */
    slow: (path, late, times = 1) => faults.push({ path, times, late }),
    /** Something on the way answers instead of the API. */
    answer: (path, status, content, { times = 1, headers = {} } = {}) => faults.push({
      path,
      times,
      answer: {
        status,
        headers: { 'content-type': 'application/json', ...headers },
        content: typeof content === 'string' ? content : JSON.stringify(content),
      },
    }),
    goDown: close,
    comeBack: () => listen(port),
    stop: close,
  }
}

module.exports = { startNetwork }
