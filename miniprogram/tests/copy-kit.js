// The demo holds the kit as a project would that copied it: `npm run copy-kit` after a change.

const fs = require('node:fs')
const path = require('node:path')

const KIT = path.join(__dirname, '../kit')
const COPY = path.join(__dirname, '../demo/kit')
const FILES = fs.readdirSync(KIT).filter(name => name.endsWith('.js'))

if (require.main === module) {
  for (const name of FILES) fs.copyFileSync(path.join(KIT, name), path.join(COPY, name))
}

module.exports = { KIT, COPY, FILES }
