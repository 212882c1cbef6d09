// A copy, made by `npm run copy-kit`: change miniprogram/kit/tap.js.

// What a tap on the phone-number button gave, wherever the framework put it, and what it means if
// there is no number in it.

const GIVEN = ['code', 'encryptedData', 'cloudID', 'errMsg', 'errno', 'errCode']

// { detail }: native, Taro, Vue; { mp: { detail } }: mpvue; the detail itself: uView, games,
// wot-design-uni. Components that pass an event on put it, or its arguments, into their own detail.
const WRAPPINGS = ['detail', 'mp', 'mpEvent', 'nativeEvent', 'originalEvent', '__args__', '0']

function detailOf(event, depth) {
  if (Object(event) !== event || depth === 0) return null
  const inside = WRAPPINGS.map(name => detailOf(event[name], depth - 1)).find(Boolean)
  return inside || (GIVEN.some(name => event[name]) ? event : null)
}

// errno: 1400001 is on the page of the component (miniprogram/dev/framework/open-ability/
// getPhoneNumber.html), 103, 104 and 112 came with the privacy guide. Clients before base library
// 2.24 give only a text, in the words of their platform. The first row that fits counts: "access
// denied" is no refusal, and "privacy permission is not authorized" is no missing permission.
const TAP_FAILURES = [
  ['phone_quota_used_up', 1400001, new RegExp(
    'quota|1400001|balance|额度|余额|欠费|套餐|资源包|次数.*(用[完尽光]|耗尽|不足)', 'i')],
  ['privacy_not_agreed', 104, new RegExp(
    'privacy.*(n.t (been )?(authori|agree|accept)|unauthori|disagree|den(y|ied)|' +
    'refus|reject|cancel)|' +
    '(n.t (yet )?|dis)(agree|accept).*privacy|' +
    '(拒绝|取消|(未|没有?|不)(同意|授权|接受)).*隐私|' +
    '隐私.*(拒绝|取消|(未|没有?|不)(被?用户)?(同意|授权|接受))', 'i')],
  ['privacy_not_declared', 112, /privacy|隐私|declared|banned|封禁|声明/i],
  ['not_a_tap', 0, new RegExp(
    'gesture|手势|(only|must|not) .*(\\btap|click)|(只能|必须|需要?由|非).*点[击按]', 'i')],
  ['user_denied', 103, new RegExp(
    'user.*(den(y|ied)|cancel|reject|refus|(n.t|un) ?(authori|agree|allow))|' +
    '用户.*(拒绝|取消|(未|不|没有?)(授权|同意|允许))', 'i')],
  ['no_permission', 0, new RegExp(
    '(no|not have|without|lacks?|insufficient) (the |any |enough )?(permission|privilege|auth)|' +
    '(permission|access) (is |was )?den|unauthori|not authori|forbidden|not allowed|personal|' +
    '(没有?|无|未开通|未获得?|缺少|不具备).{0,6}(权限|能力|资格)|' +
    '无权|权限不足|未认证|个人(主体|小程序|开发者)|未授权', 'i')],
  ['user_denied', 0, /den(y|ied)|cancel|reject|refus|拒绝|取消|不允许|不同意/i],
  ['number_not_verified', 0, new RegExp(
    '(?=.*(phone|mobile|number|手机|号码))(?=.*(bind|bound|verif|绑定|验证|未设置))|' +
    '\\bSMS\\b|短信|no (phone|mobile)|(没有?|无)手机', 'i')],
  ['too_many_requests', 0, /frequen|too (many|often)|频繁/i],
]

/** `detail` of a tap, and `failure`: why it holds no number, null if it does. */
module.exports = function tapOf(event, errors) {
  const detail = detailOf(event, 5)
  if (!detail) return { failure: errors.local('not_a_tap') }
  const good = detail.code || (detail.encryptedData && detail.iv) || detail.cloudID
  return { detail, failure: good ? null : errors.ofWx(TAP_FAILURES, detail, 'tap_failed') }
}
