import { createAuth as packaged } from 'wechat-login-phone'
import { createAuth as folder } from './kit'
import { createAuth as file } from './kit/index'

globalThis.auths = [packaged, folder, file].map(createAuth => createAuth({ baseUrl: globalThis.api }))

export default function App({ children }) {
  return children
}
