// What a team writes in TypeScript for its account function: compiled, never run.

import type { Answer, Message } from '../../../infra/account-function'

export async function handler(message: Message): Promise<Answer> {
  switch (message.event) {
    case 'login':
      // @ts-expect-error a login has no number
      message.phoneNumber.trim()
      return { accountId: message.openid, claims: { role: 'member' }, account: { isNew: false } }
    case 'phone':
      // @ts-expect-error nobody may be logged in
      message.openid.trim()
      return message.by === 'cloudID' ? { refuse: { title: '请升级微信' } } : {}
    case 'user_authorization_revoke':
      // @ts-expect-error WeChat may not say whose it is
      message.openid.trim()
      return message.revoked?.includes(8) && message.at > 0 ? {} : {}
    default:
      return {}
  }
}

// @ts-expect-error no such member
export const wrong: Answer = { accountID: '7' }
