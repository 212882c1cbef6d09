import { Button } from '@tarojs/components'

export default function Index() {
  return (
    <Button openType="getPhoneNumber" onGetPhoneNumber={event => globalThis.onTap(event)}>phone</Button>
  )
}
