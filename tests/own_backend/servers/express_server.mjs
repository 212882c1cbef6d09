// A server of one's own, with Express, passport and openid-client: who is calling, and what is
// their number?
//
// WECHAT_AUTH_URL is the API of this backend, CLIENT_NAME and CLIENT_SECRET are what
// `make api-client` showed, DATABASE is the server's own SQLite file, PORT is where it listens.

import express from 'express'
import sqlite from 'node-sqlite3-wasm'
import * as oauth from 'openid-client'
import passport from 'passport'
import { Strategy as Bearer } from 'passport-http-bearer'

const { WECHAT_AUTH_URL: AUTH, CLIENT_NAME, CLIENT_SECRET, DATABASE, PORT } = process.env

const config = new oauth.Configuration(
  { issuer: AUTH, introspection_endpoint: `${AUTH}/introspect` },
  CLIENT_NAME, undefined, oauth.ClientSecretBasic(CLIENT_SECRET),
)
if (AUTH.startsWith('http:')) oauth.allowInsecureRequests(config) // on this machine alone

// Ask the backend who sent a request; nothing that the client says of itself counts.
passport.use(new Bearer((token, done) => {
  oauth.tokenIntrospection(config, token).then(
    user => done(null, user.active && user),
    cause => done(new Error('introspection failed', { cause })), // 500: it is not the caller's fault
  )
}))
const caller = passport.authenticate('bearer', { session: false })

const database = new sqlite.Database(DATABASE)
database.exec(
  'CREATE TABLE IF NOT EXISTS users (appid, openid, phone, PRIMARY KEY (appid, openid))')

const app = express()
app.use(express.json())

// Send the tap on, as the user; bind the number that comes back, and show a part of it.
app.post('/bind', caller, async ({ body: tap = {}, user, headers }, response) => {
  const [path, names] = 'code' in tap ? ['/phone', ['code']] : ['/decrypt', ['encryptedData', 'iv']]
  const answer = await fetch(AUTH + path, {
    method: 'POST',
    headers: { authorization: headers.authorization, 'content-type': 'application/json' },
    body: JSON.stringify(tap, names),
    signal: AbortSignal.timeout(25_000), // POST /phone answers within 20 s
  })
  if (!answer.ok) { // a problem document: the kit knows what to do with it
    response.status(answer.status).type(answer.headers.get('content-type'))
    return response.send(await answer.text())
  }
  const said = await answer.json()
  const number = (said.data ?? said).phoneNumber
  if (!number) return response.status(422).json({ message: 'this is other data than a phone number' })
  database.run('REPLACE INTO users VALUES (?, ?, ?)', [user.client_id, user.sub, number])
  return response.json({ masked: masked(number) })
})

// Tell the caller what is bound to them.
app.get('/me', caller, ({ user }, response) => {
  const place = [user.client_id, user.sub]
  const row = database.get('SELECT phone FROM users WHERE (appid, openid) = (?, ?)', place)
  response.json({ masked: row ? masked(row.phone) : null })
})

const masked = number => `${number.slice(0, 3)}****${number.slice(-4)}`

const server = app.listen(PORT, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
