/**
 * The messages of an account function, as types: copy this file beside your handler.
 *
 * Version 1 of account-function.schema.json, which a test holds them against. What each member
 * means: docs/account-function.md.
 */

/** A user is logging in. */
export interface Login {
  version: 1
  event: 'login'
  appid: string
  openid: string
  unionid?: string
}

/** WeChat has handed out a user's phone number. */
export interface Phone {
  version: 1
  event: 'phone'
  appid: string
  openid?: string
  unionid?: string
  phoneNumber: string
  purePhoneNumber: string
  countryCode: string
  verifiedAt?: number
  by: 'phoneCode' | 'encryptedData' | 'cloudID'
}

/** WeChat has said something about a user; what is answered means nothing. */
export interface UserEvent {
  version: 1
  event: 'user_authorization_revoke' | 'user_authorization_cancellation' | 'user_info_modified'
  appid: string
  at: number
  openid?: string
  revoked?: number[]
  pluginId?: string
  openPid?: string
}

export type Message = Login | Phone | UserEvent

/** What the client is told. */
export interface Account {
  isNew?: boolean | null
  needsPhone?: boolean | null
}

/** Why the user is refused. */
export interface Refusal {
  title?: string | null
  code?: string | null
}

/** What the function returns. */
export interface Answer {
  accountId?: string | null
  claims?: Record<string, unknown> | null
  account?: Account | null
  refuse?: Refusal | null
}
