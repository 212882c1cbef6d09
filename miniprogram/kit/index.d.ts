/** What to do next; the server's own words. */
export type Action =
  /** The same call may succeed now: for a phone number, with the same event. */
  | 'retry'
  /** `login()`. */
  | 'login_again'
  /** The user taps the phone-number button (again). */
  | 'authorize_again'
  /** Try again after `retryAfter` seconds. */
  | 'wait'
  /** A bug in the mini-program: see `message`. */
  | 'fix_request'
  /** Another try cannot help: see `title` for the user, `message` for the operator. */
  | 'contact_support'

/** Errors that arise on the phone. */
export type LocalCode =
  | 'offline'
  | 'timeout'
  | 'domain_not_registered'
  | 'tls_failed'
  | 'request_refused'
  | 'address_not_trusted'
  | 'login_failed'
  | 'not_logged_in'
  | 'user_denied'
  | 'privacy_not_agreed'
  | 'privacy_not_declared'
  | 'no_permission'
  | 'phone_quota_used_up'
  | 'number_not_verified'
  | 'not_a_tap'
  | 'tap_failed'
  | 'gateway_refused'
  | 'service_unavailable'
  | 'unexpected_answer'

/** Errors that the server tells. */
export type ServerCode =
  | 'invalid_request'
  | 'session_invalid'
  | 'client_invalid'
  | 'user_blocked'
  | 'user_restricted'
  | 'wrong_address'
  | 'no_such_route'
  | 'account_refused'
  | 'app_not_authorized'
  | 'request_too_large'
  | 'login_code_rejected'
  | 'phone_code_rejected'
  | 'undecryptable'
  | 'too_many_requests'
  | 'too_many_failures'
  | 'internal_error'
  | 'misconfigured'
  | 'quota_exhausted'
  | 'login_unfinished'
  | 'storage_unavailable'
  | 'wechat_unavailable'
  | 'account_unavailable'

/** What every promise here rejects with. `message` is for the developer. */
export interface AuthError extends Error {
  name: 'AuthError'
  /** Stable. Your own APIs may have more of them. */
  code: LocalCode | ServerCode | (string & {})
  action: Action
  /** To show: `wx.showToast({ title: error.title, icon: 'none' })`. */
  title: string
  /** HTTP status; 0 if there was no answer. */
  status: number
  /** Finds the request in the server's log. */
  requestId?: string
  /** WeChat's id of its own failure. */
  rid?: string
  /** Seconds to wait. */
  retryAfter?: number
  /** What the server answered, such as the error of your own API; null or a text too. */
  data?: unknown
  /** What wx gave. */
  errno?: number
  errMsg?: string
}

export interface AuthOptions {
  /** Where the backend is, such as `https://api.example.com`. */
  baseUrl: string
  /** Only where one deployment serves several mini-programs. */
  appid?: string
  /**
   * Addresses of your own APIs that may get the session too. Only there, and not on the backend's
   * own routes, is API Gateway's 403 Forbidden taken for a refused session: if your routes stand
   * beside the backend's and behind its authorizer, name baseUrl here as well.
   */
  apis?: string[]
  /** Milliseconds that one call may take; 10000. */
  timeout?: number
  /** Language of `title`; zh-CN. */
  language?: 'zh-CN' | 'en'
  /** What stands for wx: uni, Taro, a simulation. It may take callbacks or return promises. */
  wx?: object
}

/** What your account function tells the client, if you have one (docs/account-function.md). */
export interface Account {
  /** Whether this made an account. */
  isNew?: boolean
  /** Whether a phone number is needed before this user has an account. */
  needsPhone?: boolean
}

export interface Session {
  /** For what `request` does not do, such as wx.uploadFile: header Authorization, as Bearer. */
  token: string
  /** Seconds since 1970. */
  expiresAt: number
  /** Only of a login just now: a session that was kept tells no old news. */
  account?: Account
}

export interface SessionState {
  /** Seconds since 1970. */
  expiresAt: number
  /** Only if asked to verify: whether data encrypted now could be decrypted. */
  sessionKeyValid?: boolean
}

export interface PhoneNumber {
  /** With the country code, if it is a foreign number. */
  phoneNumber: string
  purePhoneNumber: string
  countryCode: string
  account?: Account
}

/** What the phone-number button gave. */
export interface PhoneNumberDetail {
  /** From base library 2.21.2. */
  code?: string
  encryptedData?: string
  iv?: string
  cloudID?: string
  errMsg?: string
  errno?: number
}

/**
 * The event of bindgetphonenumber or bindgetrealtimephonenumber as the handler got it: native and
 * of Taro or Vue, of mpvue, or the detail itself, which some component libraries emit.
 */
export type PhoneNumberEvent =
  | { detail: PhoneNumberDetail }
  | { mp: { detail: PhoneNumberDetail } }
  | PhoneNumberDetail

export interface PhoneNumberOptions {
  /** An address of your own, in `apis`. */
  url: string
}

/** Options of wx.request without its callbacks; `url` may be a path of the backend. */
export interface RequestOptions {
  url: string
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  data?: string | object | ArrayBuffer
  header?: Record<string, string>
  timeout?: number
  [more: string]: unknown
}

export interface Response<Data> {
  data: Data
  statusCode: number
  header: Record<string, string>
}

export interface Auth {
  /**
   * Make sure that there is a session with a live session_key. Call it in onLaunch or onLoad,
   * never in the callback of a tap; calls at the same time share one login.
   */
  login(): Promise<Session>
  /**
   * The number behind a tap. The same event may be passed again, after an error whose action is
   * `retry`: it gives the same number without another consent, for five minutes.
   */
  getPhoneNumber(event: PhoneNumberEvent): Promise<PhoneNumber>
  /**
   * Send the tap to your own server instead, as POST with the session as Bearer and
   * `{ code }`, of old clients `{ encryptedData, iv }` or `{ cloudID }`; it asks the backend. Gives
   * what it answers, JSON or nothing. After a lost answer the same tap is sent once more.
   */
  getPhoneNumber<Data = unknown>(event: PhoneNumberEvent, options: PhoneNumberOptions): Promise<Data>
  /** wx.request with the session; rejects unless the status is 2xx. */
  request<Data = unknown>(options: RequestOptions): Promise<Response<Data>>
  /** What the server knows of the session, or null if there is none. Never logs in. */
  checkSession(options?: { verify?: boolean }): Promise<SessionState | null>
  /**
   * Forget the session, and have the server end it (`all`: those of this user's other devices
   * too). Rejects if the server could not be told.
   */
  logout(options?: { all?: boolean }): Promise<void>
}

/** Make one, in app.js, and share it. */
export function createAuth(options: AuthOptions): Auth
