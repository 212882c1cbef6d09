// The rules of the mini-program, for what runs in a browser of today.

const [, recommended, style] = require('../../miniprogram/eslint.config.js')

const browser = [
  'AbortController', 'EventSource', 'Node', 'clearTimeout', 'crypto', 'document',
  'fetch', 'localStorage', 'location', 'matchMedia', 'navigator', 'queueMicrotask', 'setTimeout',
  'structuredClone',
]

module.exports = [
  recommended,
  style,
  {
    files: ['static/*.js'],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'module',
      globals: Object.fromEntries(browser.map(name => [name, 'readonly'])),
    },
  },
  {
    files: ['static/why.js', 'static/words.js'], // a sentence stays on its line
    rules: { 'max-len': ['error', { code: 100, ignoreStrings: true }] },
  },
  {
    files: ['eslint.config.js'],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'commonjs',
      globals: { require: 'readonly', module: 'writable' },
    },
  },
]
