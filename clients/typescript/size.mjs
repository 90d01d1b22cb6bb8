// What the client adds to a page, which is held here: bundled, minified and gzipped.
import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const LIMIT = 6 * 1024
const { outputFiles: [bundle] } = await build({
  entryPoints: [fileURLToPath(new URL('src/index.ts', import.meta.url))],
  bundle: true,
  minify: true,
  format: 'esm',
  write: false
})
const size = gzipSync(bundle.contents, { level: 9 }).length
if (size > LIMIT) process.exitCode = 1
console.log(`The client is ${size} bytes gzipped (${bundle.contents.length} minified), of ${LIMIT} at most.`)
