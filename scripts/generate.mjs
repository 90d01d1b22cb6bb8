// Runs `prisma generate` when, and only when, its result would differ. npm's `ignore-scripts` rules out a postinstall,
// so `start`, `test` and `build` call this first; that is why it must cost nothing when there is nothing to do.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const generated = new URL('src/platform/db/generated/', root)
const stampFile = new URL('.stamp', generated)

const stamp = createHash('sha256')
  .update(readFileSync(new URL('prisma/schema.prisma', root)))
  .update(readFileSync(new URL('node_modules/prisma/package.json', root)))
  .digest('hex')

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  rmSync(generated, { recursive: true, force: true })
  const cli = fileURLToPath(new URL('node_modules/prisma/build/index.js', root))
  const run = spawnSync(process.execPath, [cli, 'generate', '--no-hints'], {
    cwd: fileURLToPath(root), encoding: 'utf8'
  })
  if (run.status !== 0) {
    process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}${run.error ?? ''}\n`)
    process.exit(1)
  }
  writeFileSync(stampFile, stamp)
}
