// What a project in TypeScript writes: compiled, never run.

import { createAuth } from '../../kit'
import type { createAuth as createAuthOfTheModule } from '../../kit/index.mjs'
import type { Auth, AuthError, PhoneNumberEvent, SessionState } from '../../kit'

const auth: Auth = createAuth({
  baseUrl: 'https://api.example.com',
  appid: 'wx0123456789abcdef',
  apis: ['https://orders.example.com'],
  timeout: 5000,
  language: 'en',
})

const sameAsModule: typeof createAuthOfTheModule = createAuth
sameAsModule({ baseUrl: 'https://api.example.com', wx: {} })

// @ts-expect-error baseUrl is needed
createAuth({})

export async function onPhoneNumber(event: PhoneNumberEvent): Promise<string> {
  try {
    const { phoneNumber, countryCode, account } = await auth.getPhoneNumber(event)
    return `+${countryCode} ${phoneNumber}${account?.isNew ? ' (new)' : ''}`
  } catch (reason) {
    const error = reason as AuthError
    switch (error.action) {
      case 'retry':
        return onPhoneNumber(event)
      case 'wait':
        return `${error.title} (${error.retryAfter ?? 60} s)`
      // @ts-expect-error no such action
      case 'give_up':
        return ''
      default:
        return error.code === 'user_denied' ? '' : error.title
    }
  }
}

export async function bind(detail: { code?: string; errMsg?: string }): Promise<boolean | string> {
  // As mpvue, uView, and a server of your own have it.
  const event: PhoneNumberEvent = { mp: { detail } }
  await auth.getPhoneNumber(detail)
  // @ts-expect-error no event of a tap
  await auth.getPhoneNumber(7)
  const url = 'https://orders.example.com/bind'
  try {
    return (await auth.getPhoneNumber<{ bound: boolean }>(event, { url })).bound
  } catch (reason) {
    const { data, code } = reason as AuthError
    return code === 'number_not_verified' ? code : (data as { message: string }).message
  }
}

export async function orders(): Promise<number> {
  const { token, expiresAt } = await auth.login()
  const state: SessionState | null = await auth.checkSession({ verify: true })
  const answer = await auth.request<{ orders: string[] }>({
    url: 'https://orders.example.com/orders',
    method: 'POST',
    data: { since: expiresAt },
    header: { 'X-Token-Length': String(token.length) },
    enableHttp2: true,
  })
  await auth.logout({ all: state?.sessionKeyValid === false })
  return answer.data.orders.length
}
