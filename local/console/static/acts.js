// What the page asks of its console.

import { word } from './words.js'

const random = crypto.getRandomValues(new Uint32Array(2))
const phone = random[0].toString(36) + random[1].toString(36)
let people = 1

/** Do one of the console's acts as the person who holds the phone now. */
export async function act(name) {
  const answer = await asked(`/_console/acts/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone: `${phone}n${people}` }),
  })
  const document = await answer.json()
  if (!answer.ok) throw new Error(document.error)
  return document
}

/** Hand the phone to somebody who has never been here. */
export function somebodyNew() {
  people += 1
}

/** The number of the newest message, and whether the page may only watch (the real WeChat). */
export async function state() {
  return (await asked('/_console/latest')).json()
}

/** The number of the newest message. */
export async function latest() {
  return (await state()).latest
}

/** fetch, whose failure says what to do. */
function asked(...request) {
  return fetch(...request).catch(() => {
    throw new Error(word('gone'))
  })
}
