const js = require('@eslint/js')

const style = {
  'max-len': ['error', { code: 100, ignoreUrls: true }],
  'no-unused-vars': ['error', { caughtErrorsIgnorePattern: '^_' }],
  eqeqeq: 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  quotes: ['error', 'single', { avoidEscape: true }],
  semi: ['error', 'never'],
}
const phone = { wx: 'readonly', setTimeout: 'readonly', clearTimeout: 'readonly' }
const commonJs = { require: 'readonly', module: 'writable' }

module.exports = [
  { ignores: ['demo/kit/', 'builds/*/'] },
  js.configs.recommended,
  { rules: style },
  {
    // Copied into projects that may not translate it: no newer syntax than old phones know.
    files: ['kit/**/*.js'],
    languageOptions: {
      ecmaVersion: 2015, sourceType: 'script', globals: { ...phone, ...commonJs },
    },
  },
  {
    files: ['kit/**/*.mjs'],
    languageOptions: { ecmaVersion: 2015, sourceType: 'module', globals: phone },
  },
  {
    files: ['demo/**/*.js'],
    languageOptions: {
      ecmaVersion: 2018,
      sourceType: 'script',
      globals: {
        ...phone, ...commonJs, App: 'readonly', Component: 'readonly', getApp: 'readonly',
      },
    },
  },
  {
    files: ['tests/**/*.js', 'builds/*.js', '*.config.js'],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'commonjs',
      globals: {
        ...phone, console: 'readonly', process: 'readonly', Buffer: 'readonly', URL: 'readonly',
        setImmediate: 'readonly',
        fetch: 'readonly', queueMicrotask: 'readonly', document: 'readonly', __dirname: 'readonly',
      },
    },
  },
]
