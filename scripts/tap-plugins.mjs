// Builds tap with the plugins that package.json leaves it, before tap runs. tap does so itself, too, but only after it has
// chosen what every test file's process loads: in a fresh clone that would be the TypeScript compiler, 116 times.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const { tap } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
const built = readFileSync(new URL('node_modules/@tapjs/test/test-built/dist/esm/index.js', root), 'utf8')
const signature = /^export const signature = `([^`]*)`/m.exec(built)?.[1].split('\n') ?? []
if (tap.plugin.some(name => signature.includes(name.replace(/^!/, '')) === name.startsWith('!'))) {
  const run = spawnSync(process.execPath, [fileURLToPath(new URL('node_modules/tap/dist/esm/run.mjs', root)), 'build'], {
    cwd: fileURLToPath(root), stdio: ['ignore', 'ignore', 'inherit']
  })
  process.exitCode = run.status ?? 1
}
