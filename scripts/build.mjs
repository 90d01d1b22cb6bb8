// `npm run build [-- --source-maps] [-- …/dist]`: what is deployed. The programs, with all that they use in a few files that they share.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { REQUIRE, UNBUNDLED } from './bundle.mjs'

process.chdir(fileURLToPath(new URL('../', import.meta.url)))
const args = process.argv.slice(2)
const outdir = args.find(arg => !arg.startsWith('-')) ?? 'dist'

rmSync(outdir, { recursive: true, force: true })
await build({
  entryPoints: ['src/server.ts', ...readdirSync('src/cli').map(name => join('src/cli', name))],
  outdir,
  outbase: 'src',
  bundle: true,
  splitting: true,
  chunkNames: 'parts/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Else none: nothing that the image holds shows our sources.
  sourcemap: args.includes('--source-maps') && 'linked',
  sourcesContent: false,
  logLevel: 'warning',
  external: UNBUNDLED,
  // And where a source file would lie if each were built by itself.
  banner: { js: `${REQUIRE} const __dist = /^.*\\/dist\\//.exec(import.meta.url)[0]` },
  plugins: [{
    name: 'headless-mfa',
    setup ({ onLoad }) {
      const src = join(process.cwd(), 'src')
      onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        loader: 'ts',
        contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', `new URL('${relative(src, path)}', __dist).href`)
      }))
    }
  }]
})
