// What the client adds to a page, which is held here: bundled, minified and gzipped.
import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const ENTRIES = [
  { name: 'The client', file: 'index.ts', limit: 6 * 1024 },
  { name: 'Its entry for passkeys', file: 'passkeys.ts', limit: 1.75 * 1024 }
]
for (const { name, file, limit } of ENTRIES) {
  const { outputFiles: [bundle] } = await build({
    entryPoints: [fileURLToPath(new URL(`src/${file}`, import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    write: false
  })
  const size = gzipSync(bundle.contents, { level: 9 }).length
  if (size > limit) process.exitCode = 1
  console.log(`${name} is ${size} bytes gzipped (${bundle.contents.length} minified), of ${limit} at most.`)
}
