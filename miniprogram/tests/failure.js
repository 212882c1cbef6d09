const assert = require('node:assert/strict')

/** The error that a promise rejects with. */
async function failure(promise) {
  const error = await promise.then(value => assert.fail(`resolved with ${JSON.stringify(value)}`),
    reason => reason)
  assert.equal(error.name, 'AuthError', error.stack)
  return error
}

module.exports = { failure }
