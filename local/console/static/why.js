// Why each message exists, in plain words; [Chinese, English].

/** Explain a message; `asked` are the calls that the same request made so far. */
export function why(message, asked) {
  const rules = WHY[message.kind] || []
  const rule = rules.find(([applies]) => applies(message, asked))
  return rule ? rule[1] : message.explained || ['', '']
}

const named = (name, more = () => true) => message => message.name === name && more(message)
const isBusy = ({ outcome }) => outcome === '-1'
const ok = ({ outcome }) => !outcome
const isInvalid = ({ outcome }) => outcome === 'session_invalid'
const item = (operation, target, more = () => true) =>
  message => message.name === operation && message.target === target && more(message)
const updates = (text, more = () => true) => message =>
  (message.sent.UpdateExpression || '').includes(text) && more(message)
const isKept = ({ name, got }) => name === 'PutItem' && Boolean(got && got.Item && got.Item.sealed)
const sealed = ({ got, outcome }) => !outcome && Boolean(got && got.opened)
const exchanged = asked => asked.some(({ name, outcome }) => name === 'getPhoneNumber' && !outcome)
const expired = ({ got, at }) => got && got.Item && got.Item.expires_at <= at

const WHY = {
  phone: [
    [named('wx.login'), [
      '手机向微信要登录 code：5 分钟内有效，只能用一次。',
      'The phone gets a login code from WeChat: valid for five minutes, and once.']],
    [named('getPhoneNumber'), [
      '用户点击并同意。新客户端用 code；密文是给旧客户端的同一个号码。',
      'The user taps and agrees. New clients use the code; the ciphertext is the same number for old ones.']],
  ],
  request: [
    [named('POST /login'), [
      '小程序只交出 code。AppSecret 不在前端，所以自己换不了。',
      'The mini-program hands over the code alone: AppSecret is not in the front end.']],
    [named('POST /phone'), [
      '把按钮给的 code 连同会话交给后端：微信会核对两者是同一个人。',
      'The code of the button, with the session: WeChat checks that both are the same user.']],
    [named('POST /decrypt'), [
      '没有 code，就交出密文：只有保管 session_key 的后端解得开。',
      'No code, so the ciphertext: only the backend, which keeps session_key, can open it.']],
    [named('GET /session'), ['问后端：会话还有效吗？', 'Is the session still valid?']],
    [named('DELETE /session'), ['退出登录：会话在服务器上也要消失。', 'Logging out ends the session on the server, too.']],
    [named('POST /introspect'), [
      '你的服务器来问：这个 token 属于谁？', 'One of your servers asks whose token this is.']],
  ],
  call: [
    [message => message.target === 'AppSecrets', [
      'AppSecret 只在 Secrets Manager 里。取一次，之后留在内存。',
      'AppSecret lives in Secrets Manager alone. Read once, then kept in memory.']],
    [message => message.target === 'KeyRing', [
      '封存数据用的密钥：数据库里没有明文。也只取一次。',
      'The key that seals what is stored: the tables hold no plain secret. Read once, too.']],

    [item('PutItem', 'Sessions'), [
      '存下会话：openid、session_key 加密封存，token 只留哈希。',
      'The session is kept: openid and session_key sealed, of the token only a hash.']],
    [item('GetItem', 'Sessions', expired), [
      '会话已过期：DynamoDB 可能晚几天才删，所以每次都比对时间。',
      'It has expired: DynamoDB may delete days later, so every read compares the clock.']],
    [item('GetItem', 'Sessions'), [
      '读一次表，确认这个会话属于谁。',
      'Whose session is this? One read tells.']],
    [item('Query', 'Sessions'), [
      '取出该用户最近几个 session_key：每次 wx.login 都可能换掉它。',
      "The user's newest session_keys: each wx.login may have replaced it."]],
    [item('UpdateItem', 'Sessions', ({ outcome }) => outcome), [
      '今天还没有失败的记录：下一步从 1 记起。',
      'No failure was counted today: the next step begins at one.']],
    [item('UpdateItem', 'Sessions'), [
      '解密失败要计数：一天 50 次后拒绝，免得有人靠猜伪造号码。',
      'Failed decryptions are counted: after 50 a day no more, so that nobody forges a number by guessing.']],
    [item('BatchWriteItem', 'Sessions'), ['删除会话。', 'The session is deleted.']],
    [item('DeleteItem', 'Sessions'), ['删除会话。', 'The session is deleted.']],

    [item('SendMessage', 'UserEvents'), [
      '先入队，稍后处理：微信只等 5 秒。', 'Into a queue, for later: WeChat waits five seconds.']],
    [item('SendMessage', 'PlatformEvents'), [
      '先入队，稍后处理：微信只等 5 秒。', 'Into a queue, for later: WeChat waits five seconds.']],
    [item('UpdateItem', 'Platform', updates('busy_until = :until')), [
      '先占位：授权码只能用一次。', 'First a mark: an authorisation code works once.']],
    [item('UpdateItem', 'Platform'), [
      '票据与刷新令牌加密封存，旧的不会盖掉新的。', 'Tickets and refresh tokens are kept sealed; an older one replaces none.']],
    [item('GetItem', 'Platform'), [
      '平台的票据与商家的授权都在这里。', 'The ticket of the platform and what merchants authorised stand here.']],
    [item('DeleteItem', 'AccessTokens'), [
      '商家取消了授权：它的 access_token 一并删除。', 'The merchant has withdrawn: its access_token goes, too.']],

    [item('PutItem', 'PhoneExchanges', ({ function: name }) => name === 'user_events'), [
      '做个标记：此前保存的号码不再给出。', 'A mark: no number that was kept before is given out any more.']],
    [item('PutItem', 'PhoneExchanges', ok), [
      '先占位：同一个 code 再来，也只会去微信兑换一次。',
      'First a mark: however often this code comes, it goes to WeChat once.']],
    [item('PutItem', 'PhoneExchanges', ({ got }) => got.Item && !got.Item.sealed), [
      '另一个请求正在兑换同一个 code：等它的结果，不再去问微信。',
      'Another request is exchanging this code: wait for its answer, and do not ask WeChat again.']],
    [item('PutItem', 'PhoneExchanges'), [
      '这个 code 已经兑换过：取回上次的结果，不再问微信。',
      'This code was exchanged already: the kept answer comes back, WeChat is not asked.']],
    [(message, asked) => item('GetItem', 'PhoneExchanges')(message) && asked.some(isKept), [
      '号码保存之后，用户撤回授权了吗？', 'Has the user withdrawn consent since the number was kept?']],
    [item('GetItem', 'PhoneExchanges'), [
      '看看另一个请求得到结果了没有。', 'Has the other request got its answer yet?']],
    [item('UpdateItem', 'PhoneExchanges'), [
      '结果加密封存 5 分钟：响应丢了，同一个 code 还能得到同一个号码。',
      'The answer is kept, sealed, for five minutes: should the reply get lost, the same code still works.']],
    [item('DeleteItem', 'PhoneExchanges'), [
      '没兑换成：去掉占位，让同一个 code 可以再试。',
      'No exchange took place: the mark goes, so that the same code can be tried again.']],

    [item('GetItem', 'AccessTokens'), [
      '所有函数共用一个 access_token：先看内存，再看这里，最后才问微信。',
      'All functions share one access_token: memory first, then this item, WeChat last.']],
    [item('UpdateItem', 'AccessTokens', updates('lease_owner = :owner')), [
      '拿到租约：同一时刻只有一个去换 token，其余的等它。',
      'The lease: only one at a time renews the token, the others wait for it.']],
    [item('UpdateItem', 'AccessTokens', updates('forced_')), [
      '刚问过，只能强制刷新：先记一笔，微信一天只许 20 次、相隔 30 秒。',
      'Asked just now, so it must be forced. Counted first: WeChat allows 20 a day, 30 s apart.']],
    [item('UpdateItem', 'AccessTokens', updates('failed_version')), [
      '没换到：归还租约，写明原因。', 'No token came: the lease goes back, with the reason.']],
    [item('UpdateItem', 'AccessTokens'), [
      '新 token 加密封存，租约归还，大家都用它。',
      'The new token is stored, sealed, and the lease given back: everybody uses it.']],

    [named('Invoke', ({ outcome }) => outcome), [
      '团队自己的账号函数出错：先不返回给小程序，号码留着，同一个 code 再问它。',
      "The team's account function failed: no answer yet, the number is kept, the same code asks it again."]],
    [named('Invoke'), [
      '先告诉团队自己的账号函数，再返回给小程序：号码来自后端，不靠前端转交。',
      "The team's account function hears of it before the mini-program: from the backend, not from the client."]],

    [named('code2Session', ok), [
      '用 code + AppSecret 换 openid 和 session_key。两者都不离开后端。',
      'Code and AppSecret become openid and session_key. Neither ever leaves the backend.']],
    [named('getComponentAccessToken', ok), [
      '用票据换平台的令牌：同一时刻只有一个去换。', "The platform's own token, for its ticket: only one at a time gets it."]],
    [named('getAuthorizerRefreshToken', ok), [
      '授权码换刷新令牌：只能换一次，换到就保存。', 'The code is exchanged for the refresh token: once, and that is kept.']],
    [named('getStableAccessToken', ok), [
      '调微信接口要 access_token。稳定版：各服务器拿到同一个，不会互相挤掉。',
      "WeChat's API wants an access_token. The stable one is the same for all servers: none kills another's."]],
    [named('getPhoneNumber', sealed), [
      'API 安全：请求加密并签名，响应先验签再解密。opened 是密文里的内容。',
      'API security: encrypted and signed; the answer is verified, then decrypted. "opened" is what is inside.']],
    [named('getPhoneNumber', ok), [
      '真正的兑换：code 就此用掉，微信给出号码，并计费一次。',
      'The one real exchange: the code is spent, WeChat tells the number and bills it.']],
    [named('getPhoneNumber', ({ outcome }) => ['40001', '40014', '42001'].includes(outcome)), [
      '微信不认这个 access_token，还没有检查 code：换 token，再试一次。',
      'WeChat refuses the access_token and has not looked at the code: get another token, try once more.']],
    [named('checkEncryptedData', ok), [
      '再问微信：这段密文真是你加密的吗？防止伪造的号码。',
      'Did WeChat really encrypt this? Otherwise a number could be forged.']],
    [named('checkEncryptedData', ({ outcome }) => outcome === '1'), [
      '微信没加密过它：按解不开处理。', 'WeChat did not: it counts as undecryptable.']],
    [named('checkSessionKey', ({ outcome }) => !outcome || outcome === '87009'), ['问微信：这个 session_key 还是现在的吗？', 'Is this session_key the live one?']],
    [named('getPhoneNumber', isBusy), [
      '微信说“系统繁忙”。手机号 code 没被用掉。',
      'WeChat says "system busy". The code of the tap is not spent.']],
    [named('code2Session', isBusy), [
      '微信说“系统繁忙”，没有登录成。下次登录会用新的 code。',
      'WeChat says "system busy": no login. The next one brings a new code.']],
    [({ lane, ...message }) => lane === 'wechat' && isBusy(message), [
      '微信说“系统繁忙”：稍后再问。', 'WeChat says "system busy": it will be asked again later.']],
  ],
  answer: [
    [({ name, outcome }) => name === 'POST /login' && !outcome, [
      '小程序只得到会话 token。openid、session_key 留在后端。',
      'The mini-program gets a session token. openid and session_key stay behind.']],
    [({ name, outcome }, asked) => name === 'POST /phone' && !outcome && !exchanged(asked), [
      '只兑换一次：这是保存的结果，没有再问微信，也没有再计费。',
      'One exchange only: the kept answer was returned, WeChat was not asked and billed nothing.']],
    [({ name, outcome }) => name === 'POST /phone' && !outcome, [
      '号码交给小程序。', 'The number goes to the mini-program.']],
    [({ name, outcome }) => name === 'POST /decrypt' && !outcome, [
      '解开的号码交给小程序，openid 与水印留下。',
      'The decrypted number goes to the mini-program; openid and watermark stay.']],
    // These two the kit sends with the session that it has, and never logs in for.
    [named('GET /session', isInvalid), [
      '会话已失效：kit 删除本机的会话，不会重新登录。',
      'No valid session: the kit forgets it here, and does not log in.']],
    [named('DELETE /session', isInvalid), [
      '会话本来就已失效，登出完成。', 'It had ended already: logged out.']],
    [isInvalid, [
      '会话无效：kit 静默登录一次，再发一遍，用户无感。',
      'No valid session: the kit logs in silently and sends again; the user notices nothing.']],
    [({ outcome }) => outcome === 'undecryptable', [
      '解不开：kit 马上重新登录，请用户再点一次。出于安全，不透露是哪一步失败。',
      'Undecryptable: the kit logs in again and asks for one more tap. Which check failed is not told.']],
    [({ name, outcome }) => name === 'POST /login' && /_unavailable$/.test(outcome), [
      '告诉小程序稍后再登录（action: retry）：页面会自己再试，用户什么也不用做。',
      'The mini-program may log in again later (action: retry): the page does, the user need do nothing.']],
    [({ name, outcome }) => name === 'GET /session' && outcome === 'wechat_unavailable', [
      '没问到 session_key 是否有效；会话本身不受影响。',
      'Whether session_key is valid is not known; the session itself stays.']],
    [({ outcome }) => outcome === 'wechat_unavailable', [
      '告诉小程序可以重试（action: retry）：同一次点击仍然有效。',
      'The mini-program may retry (action: retry): the same tap still counts.']],
    [({ outcome }) => outcome === 'account_unavailable', [
      '账号函数没有响应：小程序可以重试，同一次点击仍然有效。',
      'The account function gave no answer: the mini-program may retry, the same tap still counts.']],
    [({ outcome }) => outcome === 'account_refused', [
      '账号函数拒绝了该用户，并给出要显示的话。',
      'The account function refuses this user, with the words to show.']],
    [named('DELETE /session', ok), ['会话已删除。', 'The session is gone.']],
    [named('GET /session', ok), ['会话有效。', 'The session is valid.']],
    [named('POST /introspect', ({ outcome, got }) => !outcome && got.active), [
      'token 有效：服务器得知是哪个用户。', 'Active: the server learns who it is.']],
    [named('POST /introspect', ok), ['token 无效：不说明原因。', 'Not active; why is not said.']],
  ],
  push: [
    [() => true, [
      '微信主动推送：先验签，再解密，最后看是谁的消息。',
      'WeChat itself calls: the signature is checked, then the message is decrypted.']],
  ],
  heard: [
    [({ got }) => got === 'success', [
      '只返回 success，微信就不再重发。', 'Exactly "success", so that WeChat does not send it again.']],
    [() => true, ['不是微信发给本应用的：直接拒绝，不说明原因。', 'Not from WeChat, or not for this app: refused without a word.']],
  ],
  work: [
    [named('user_events'), [
      '从队列取出：结束会话、作废保存的号码、通知账号函数；办成才出队。',
      'From the queue: end sessions, drop kept numbers, tell the account function; done only when all is.']],
    [named('platform_events'), [
      '从队列取出：用授权码换取刷新令牌，办成才出队。',
      'From the queue: the code is exchanged for the refresh token; done only when that is kept.']],
  ],
  note: [
    [named('consent_withdrawn'), [
      '用户撤回了手机号授权：删除号码是法定义务。',
      'The user has withdrawn the phone number: to delete it is a legal duty.']],
    [named('merchant_authorizes'), [
      '商家管理员扫码，把小程序授权给第三方平台。', 'The owner of a mini-program authorises the third-party platform.']],
    [named('merchant_withdraws'), [
      '商家取消授权：它的 access_token 与刷新令牌一并删除，其用户不能再登录。', 'The merchant withdraws that: its tokens go, its users cannot log in.']],
    [named('refused'), [
      '用户拒绝：没有 code，什么也不发送。按钮还在，可以再点。',
      'The user refused: there is no code, so nothing is sent. The button is still there.']],
    [named('tapped_twice'), [
      '同一个 code 交出两次：kit 发现它正在路上，只发一次。',
      'The same code is handed over twice: the kit sees it on its way and sends it once.']],
    [named('reply_lost'), [
      '手机没收到响应，不知道成没成。kit 用同一个 code 再问一次。',
      'No reply came, so the phone cannot know. The kit asks again with the same code.']],
    [named('session_key_replaced'), [
      '别处调了 wx.login：微信换了 session_key，后端并不知道。',
      'wx.login ran elsewhere: WeChat replaced session_key, and the backend never heard.']],
    [named('session_expired'), [
      '会话的期限到了，手机还拿着旧 token。',
      'The session has expired; the phone still holds its token.']],
    [named('access_token_dead'), [
      '微信作废了 access_token（例如别的服务器刷新了它）。',
      'WeChat has dropped the access_token, as when another server refreshed it.']],
    [named('wechat_busy'), ['微信从现在起一律返回“系统繁忙”。', 'From now on WeChat answers "system busy".']],
    [named('api_security_on'), [
      '管理员开启 API 安全，运维把密钥存入 AppSecrets。',
      'The owner switches API security on, the operator stores its keys in AppSecrets.']],
    [named('api_security_off'), ['关闭 API 安全，密钥取出。', 'API security is off again, its keys are taken out.']],
    [named('healed'), ['微信恢复正常。', 'WeChat works again.']],
  ],
}

/** What a note says happened. */
export const NOTES = {
  refused: ['用户拒绝授权', 'The user refuses'],
  tapped_twice: ['点了两次', 'Tapped twice'],
  reply_lost: ['响应丢失', 'The reply is lost'],
  session_key_replaced: ['session_key 被换掉', 'session_key is replaced'],
  session_expired: ['会话过期', 'The session expires'],
  access_token_dead: ['access_token 失效', 'access_token dies'],
  wechat_busy: ['微信繁忙', 'WeChat is busy'],
  api_security_on: ['开启 API 安全', 'API security is switched on'],
  api_security_off: ['关闭 API 安全', 'API security is switched off'],
  healed: ['恢复正常', 'Healed'],
  consent_withdrawn: ['用户撤回授权', 'Consent is withdrawn'],
  merchant_authorizes: ['商家授权', 'A merchant authorises'],
  merchant_withdraws: ['商家取消授权', 'A merchant withdraws'],
}
