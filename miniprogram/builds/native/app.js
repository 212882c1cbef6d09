const { createAuth: packaged } = require('wechat-login-phone')
const { createAuth: copied } = require('./kit/index')

globalThis.auths = [packaged, copied].map(createAuth => createAuth({ baseUrl: globalThis.api }))
App({})
