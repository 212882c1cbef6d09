// What is made of the kit's sources: `npm run copy-kit` after a change. An ES module for projects
// whose tools know no CommonJS in src/, and the demo's copy, as a project would hold it.

const fs = require('node:fs')
const path = require('node:path')

const ROOT = path.join(__dirname, '../..')
const KIT = path.join(ROOT, 'miniprogram/kit')
const SOURCES = ['errors.js', 'tap.js', 'wechat.js', 'index.js'] // each needs only those before it

const read = name => fs.readFileSync(path.join(KIT, name), 'utf8')

function asModule(source) {
  return source
    .replace(/^const \w+ = require\(.*\)\n/gm, '')
    .replace(/^module\.exports = function/m, 'function')
    .replace(/^module\.exports = \{/m, 'export {')
}

/** The text of every made file, by its path in the repository. */
function made() {
  const files = {
    'miniprogram/kit/index.mjs': '// Made of the .js files here by `npm run copy-kit`: ' +
      `change those.\n\n${SOURCES.map(name => asModule(read(name))).join('\n')}`,
    'miniprogram/kit/LICENSE': fs.readFileSync(path.join(ROOT, 'LICENSE'), 'utf8'),
  }
  for (const name of SOURCES) {
    files[`miniprogram/demo/kit/${name}`] =
      `// A copy, made by \`npm run copy-kit\`: change miniprogram/kit/${name}.\n\n${read(name)}`
  }
  return files
}

if (require.main === module) {
  for (const [name, text] of Object.entries(made())) {
    fs.writeFileSync(path.join(ROOT, name), text)
  }
}

module.exports = { ROOT, KIT, made }
