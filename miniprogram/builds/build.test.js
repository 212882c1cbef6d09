// The kit in projects of others, built by their own tools: installed from what `npm pack` packs,
// and copied beside the sources. Each is built once, with both in it, and started.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, describe, it } = require('node:test')
const { promisify } = require('node:util')
const zlib = require('node:zlib')

const { startPhone } = require('../tests/phone')
const { startStack } = require('../tests/stack')
const { startBuilt } = require('./runtime')

const KIT = path.join(__dirname, '../kit')
const NUMBER = { phoneNumber: '13800138000', purePhoneNumber: '13800138000', countryCode: '86' }

let stack
let scratch
let tarball

// Without what npm tells its scripts, which is about another project than theirs.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))
)
const run = (folder, command, ...args) => promisify(execFile)(command, args, {
  cwd: folder,
  env: { ...environment, NODE_ENV: 'production' },
  maxBuffer: 2 ** 26,
})
const install = (folder, ...args) => run(folder, 'npm', 'install', '--ignore-scripts', '--no-audit',
  '--no-fund', ...args, tarball)

before(async () => {
  stack = await startStack(600000)
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'kit-builds-'))
  const packed = await run(scratch, 'npm', 'pack', '--silent', KIT)
  tarball = path.join(scratch, packed.stdout.trim())
  await Promise.all(['bundlers', 'uni-app', 'taro'].map(prepare))
})
after(async () => {
  fs.rmSync(scratch, { recursive: true })
  await stack.stop()
})

/** A project here, as its lock has it, with the package installed and the folder copied. */
async function prepare(name) {
  const folder = path.join(__dirname, name)
  if (!fs.existsSync(path.join(folder, 'node_modules'))) {
    await run(folder, 'npm', 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund')
  }
  await install(folder, '--no-save', '--include=dev', '--offline')
  for (const made of ['src/kit', 'dist']) {
    fs.rmSync(path.join(folder, made), { recursive: true, force: true })
  }
  fs.cpSync(KIT, path.join(folder, 'src/kit'), { recursive: true })
}

/** Every createAuth that the app found logs in and gets a number, by both kinds of tap. */
async function works(folder, ways) {
  const phone = startPhone(stack)
  const { auths, tap } = startBuilt(folder, phone, stack.api)
  assert.equal(auths.length, ways)
  for (const auth of auths) {
    phone.storage.clear()
    await auth.login()
    assert.deepEqual(await auth.getPhoneNumber(await phone.tap()), NUMBER)
    assert.deepEqual(await auth.getPhoneNumber(await phone.oldTap()), NUMBER)
  }
  assert.equal(phone.logins(), ways)
  return { phone, auth: auths[0], tap }
}

/** The same with the event that the framework hands to the handler of the page. */
async function takesItsEvents({ phone, auth, tap }) {
  for (const { detail } of [await phone.tap(), await phone.oldTap()]) {
    assert.deepEqual(await auth.getPhoneNumber(await tap(detail)), NUMBER)
  }
  const refused = await tap({ errMsg: 'getPhoneNumber:fail user deny' })
  await assert.rejects(auth.getPhoneNumber(refused), { code: 'user_denied' })
}

describe('the kit, packed and copied,', () => {
  it('works in a native mini-program, its packages built by WeChat\'s miniprogram-ci', async () => {
    const folder = path.join(scratch, 'native')
    fs.cpSync(path.join(__dirname, 'native'), folder, { recursive: true })
    fs.cpSync(KIT, path.join(folder, 'kit'), { recursive: true })
    fs.writeFileSync(path.join(folder, 'package.json'), '{"private": true}')
    await install(folder, '--offline')
    const tools = path.join(__dirname, 'bundlers')
    const packed = await run(tools, process.execPath, 'pack-npm.js', folder)
    assert.deepEqual(JSON.parse(packed.stdout.split('\n').at(-2)),
      { miniProgramPackNum: 1, otherNpmPackNum: 0, warnList: [] })
    await works(folder, 2)
  })

  it('works in what esbuild builds, is as small as said, and left out if unused', async () => {
    const folder = path.join(__dirname, 'bundlers')
    const esbuild = require(path.join(folder, 'node_modules/esbuild'))
    const build = more => esbuild.build({
      bundle: true, format: 'cjs', target: 'es2015', absWorkingDir: folder, ...more,
    })
    await build({ entryPoints: ['src/app.js'], outfile: 'dist/app.js' })
    await works(path.join(folder, 'dist'), 3)

    const minified = { entryPoints: ['src/kit/index.mjs'], minify: true, charset: 'utf8' }
    const { outputFiles: [{ contents: whole }] } = await build({ ...minified, write: false })
    const kilobytes = Math.round(zlib.gzipSync(whole).length / 1000)
    const readme = fs.readFileSync(path.join(__dirname, '../../README.md'), 'utf8')
    assert.match(readme, new RegExp(`\\b${kilobytes} KB minified and compressed`))

    const contents = 'import { createAuth } from "wechat-login-phone"'
    const stdin = { contents, resolveDir: folder }
    const { outputFiles: [unused] } = await build({ stdin, write: false })
    assert.doesNotMatch(unused.text, /createAuth/)
  })

  it('works in what webpack builds', async () => {
    const folder = path.join(__dirname, 'bundlers')
    const webpack = require(path.join(folder, 'node_modules/webpack'))
    const stats = await promisify(webpack)({
      mode: 'production',
      context: folder,
      entry: './src/app.js',
      output: { path: path.join(folder, 'dist'), filename: 'app.js' },
    })
    assert.deepEqual(stats.toJson().errors, [])
    await works(path.join(folder, 'dist'), 3)
  })

  it('works in uni-app with Vue 3 and Vite, and takes its events', async () => {
    const folder = path.join(__dirname, 'uni-app')
    await run(folder, 'npm', 'run', 'build')
    await takesItsEvents(await works(path.join(folder, 'dist/build/mp-weixin'), 3))
  })

  it('works in Taro 4 with React, and takes its events', async () => {
    const folder = path.join(__dirname, 'taro')
    await run(folder, 'npm', 'run', 'build')
    await takesItsEvents(await works(path.join(folder, 'dist'), 3))
  })
})
