// What "build npm" of WeChat DevTools does, by WeChat's own tool: node pack-npm.js <project>

const { packNpmManually } = require('miniprogram-ci')

const [project] = process.argv.slice(2)
packNpmManually({ packageJsonPath: `${project}/package.json`, miniprogramNpmDistDir: project })
  .then(packed => console.log(JSON.stringify(packed)))
