// What a team writes with the types that openapi-typescript makes of the contract.
import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

const api = createClient<paths>({ baseUrl: 'https://api.example.com' })

export async function loggedIn(code: string): Promise<string> {
  const { data, error } = await api.POST('/login', { body: { code } })
  if (data) return data.token
  throw new Error('action' in error ? error.action : error.message)
}

export async function rejected(code: string): Promise<'login_again' | undefined> {
  const { error } = await api.POST('/login', { body: { code } })
  // The code tells the action: no other type would compile.
  return error && 'code' in error && error.code === 'login_code_rejected' ? error.action : undefined
}

export async function openid(token: string): Promise<string | undefined> {
  const { data } = await api.POST('/introspect', { body: { token } })
  return data && data.active ? data.openid : undefined
}

export const number: components['schemas']['PhoneNumber'] = {
  phoneNumber: '13800138000', purePhoneNumber: '13800138000', countryCode: '86',
}

// @ts-expect-error: a code is needed
export const withoutCode = () => api.POST('/login', { body: {} })
