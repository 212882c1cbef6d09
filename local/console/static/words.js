// Every word of the console in both languages; [Chinese, English].

export let language = localStorage.getItem('console language') ||
  (navigator.language.startsWith('zh') ? 'zh-CN' : 'en')

export function speak(chosen) {
  language = chosen
  localStorage.setItem('console language', chosen)
}

/** A word by its name. */
export function word(name) {
  return said(WORDS[name] || [name, name])
}

/** One of a pair. */
export function said(pair) {
  return pair[language === 'en' ? 1 : 0]
}

/** What the demo page says, which it does in Chinese only. */
export function inLanguage(text) {
  if (language !== 'en') return text
  const until = /^已登录，(\d+)月(\d+)日前有效$/.exec(text)
  if (until) {
    const day = new Date(2000, until[1] - 1, until[2])
    return `Logged in until ${day.toLocaleDateString('en-GB', { day: 'numeric', month: 'long' })}`
  }
  return PAGE[text] || text
}

const PAGE = {
  '登录中…': 'Logging in…',
  '未登录': 'Not logged in',
  '登录有效': 'The login is valid',
  '登录有效，session_key 已更换': 'Valid; session_key was replaced',
  '失败': 'failed',
}

const WORDS = {
  title: ['小程序登录与手机号', 'Mini-program login and phone numbers'],
  console: ['本地控制台', 'local console'],
  hint: ['点任意按钮，看每条消息真实经过哪里；点消息看它带了什么。密钥与号码已脱敏，括号里是原文长度。',
    'Press a button and watch each message pass; press a message for all of it. Secrets are masked: (32) is a length.'],
  watchHint: ['真实的微信：在开发者工具或真机上操作，每条消息都会出现在这里；点消息看它带了什么（已脱敏）。',
    'The real WeChat: use DevTools or a phone, and each message appears here; press a message for all of it (masked).'],
  real: ['开发者工具与真机', 'DevTools and phones'],
  connecting: ['连接中', 'connecting'],
  connected: ['实时', 'live'],
  disconnected: ['已断开', 'disconnected'],
  gone: ['连不上本机服务：请重新执行 make run，本页会自行恢复。',
    'The server on this machine is gone: start make run again, and this page goes on by itself.'],
  label_phone: ['模拟手机', 'Simulated phone'],
  label_screen: ['小程序页面', 'Page of the mini-program'],
  label_scenes: ['操作', 'What happens'],
  label_diagram: ['消息时序图', 'Sequence of messages'],

  lanePhone: ['小程序', 'Mini-program'],
  laneApi: ['后端 API', 'API'],
  laneAws: ['DynamoDB · 密钥', 'DynamoDB · secrets'],
  laneWechat: ['微信', 'WeChat'],
  laneWhy: ['为什么有这一步', 'Why this step exists'],

  people: ['用户', 'A person'],
  mishaps: ['异常场景', 'Mishaps'],
  again: ['恢复', 'Recover'],
  open: ['打开并登录', 'Open and log in'],
  openHint: ['第一次打开小程序：静默登录', 'The first start: a silent login'],
  new: ['点手机号按钮', 'Tap for number'],
  newHint: ['新客户端：点击得到 code', 'A new client: the tap gives a code'],
  old: ['旧版客户端', 'Tap, old client'],
  oldHint: ['基础库 2.21.2 以前：点击只得到密文', 'Before base library 2.21.2: the tap gives ciphertext only'],
  refuse: ['拒绝授权', 'Refuse'],
  refuseHint: ['用户点了拒绝', 'The user says no'],
  twice: ['连点两次', 'Tap twice'],
  twiceHint: ['同一个 code 交出两次', 'The same code is handed over twice'],
  lost: ['响应丢失', 'Lose the reply'],
  lostHint: ['服务器做完了，手机没收到', 'The server has done it, the phone never hears'],
  expired: ['会话过期', 'Expire the session'],
  expiredHint: ['让会话过期，再点手机号按钮', 'Let the session expire, then tap'],
  replaced: ['session_key 被换', 'Replace session_key'],
  replacedHint: ['别处调用了 wx.login，再点旧版按钮', 'wx.login elsewhere, then a tap of an old client'],
  dead: ['access_token 失效', 'Kill access_token'],
  deadHint: ['微信不再认现有的 access_token，再点手机号按钮', 'WeChat refuses the living access_token, then a tap'],
  busy: ['微信繁忙', 'Make WeChat busy'],
  busyHint: ['微信对一切调用返回“系统繁忙”，再点手机号按钮', 'WeChat answers "system busy" to everything, then a tap'],
  secured: ['API 安全', 'API security'],
  securedHint: ['为小程序开启或关闭 API 安全（签名与加密），再点手机号按钮',
    'Switch API security (signed and encrypted calls) on or off for the app, then a tap'],
  withdrawn: ['撤回授权', 'Withdraw consent'],
  withdrawnHint: ['用户在微信里撤回手机号授权，微信推送给后端',
    'The user withdraws the phone number in WeChat, which pushes that to the server'],
  merchant: ['商家授权', 'Merchant authorises'],
  merchantHint: ['商家授权第三方平台，或取消授权', 'A merchant authorises the third-party platform, or withdraws that'],
  heal: ['微信恢复', 'Heal WeChat'],
  healHint: ['登录会自行恢复；手机上有“重试”时点它', 'The login recovers by itself; press "Try again" if the phone has it'],
  reset: ['换一台新手机', 'New phone'],
  resetHint: ['清空图，换一个人重新开始', 'Clear the diagram and begin with somebody new'],
  retry: ['重试', 'Try again'],
  check: ['检查登录', 'Check login'],
  logout: ['退出登录', 'Log out'],

  page: ['手机号登录', 'Phone login'],
  pageHint: ['打开时已静默登录，点按钮只做一件事：获取手机号',
    'Logged in silently at the start: the button does one thing, it gets the number'],
  loginState: ['登录状态', 'Login'],
  number: ['手机号', 'Phone number'],
  noNumber: ['未获取', 'none yet'],
  newButton: ['手机号快捷登录', 'Log in with phone'],
  oldButton: ['旧版客户端方式', 'As an old client'],
  trace: ['收发记录（已脱敏，最新在上）', 'Sent and received (masked, newest first)'],

  sent: ['发送', 'sent'],
  got: ['返回', 'got'],
  nothing: ['（无内容）', '(nothing)'],
  empty: ['点上面的按钮，消息会一条条出现在这里。', 'Press a button above, and each message appears here.'],
  found: ['有记录', 'found'],
  missing: ['没有记录', 'not found'],
  written: ['已写入', 'written'],
  queued: ['已入队', 'queued'],
  accepted: ['认可', 'accepted'],
  refused: ['拒绝', 'refused'],
  taken: ['条件不成立', 'condition not met'],
  kept: ['已有缓存结果', 'answer kept'],
  deleted: ['已删除', 'deleted'],
  keys: ['条', 'items'],
  vaild: ['vaild（微信原文如此）', "vaild (WeChat's spelling)"],
  lostOnTheWay: ['手机没收到', 'never arrived'],
  exchanges: ['向微信兑换 {n} 次（计费 {n} 次）', 'exchanged, and billed, by WeChat: {n}×'],
  messages: ['{n} 条消息', 'messages: {n}'],
  failed: ['控制台异常：', 'The console failed: '],
}
