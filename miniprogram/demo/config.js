module.exports = {
  // The backend. On phones only an HTTPS domain that is registered in the WeChat console works.
  baseUrl: 'http://127.0.0.1:3000',
  timeout: 10000,
  // Where `make run` plays WeChat and its users' phones. Empty it together with the change of
  // baseUrl and appid: then codes come from WeChat, and the buttons ask the user.
  simulatedPhone: 'http://127.0.0.1:3001',
}
