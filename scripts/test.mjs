// `npm test [-- FILES, DIRECTORIES and options of tap, with "="]`: compiles what the tests run, once, and lets tap run that. Else each
// of more than a hundred processes would load a thousand modules through the hooks of a loader, which is most of what a
// small file costs. `npx tap FILE` does without.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../', import.meta.url))
process.chdir(root)
const { tap } = JSON.parse(readFileSync('package.json', 'utf8'))
const OUT = '.test' // not in .tap, of which tap notes no coverage

const args = process.argv.slice(2)
const env = { ...process.env, TEST_BUILD: join(root, OUT), ...(args.includes('--disable-coverage') && { _TAPJS_PROCESSINFO_COVERAGE_: '0' /* tap forgets it for `before` */ }) }
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env })
  if (status !== 0) process.exit(status ?? 1)
}
run('scripts/generate.mjs')
run('scripts/tap-plugins.mjs')

const below = dir => readdirSync(dir, { recursive: true }).map(name => join(dir, name)).sort()
const testsOf = path => statSync(path).isDirectory() ? below(path).filter(name => name.endsWith('.test.ts')) : [path]
const isPath = arg => !arg.startsWith('-')
const tests = args.some(isPath)
  ? args.filter(isPath).flatMap(arg => testsOf(relative(root, arg)))
  : testsOf('test').filter(name => !tap.exclude.some(glob => name.startsWith(glob.replace(/\*\*$/, ''))))

const isProgram = name => /^test\/helpers\/(before|after|server|.*-process)\.ts$|^src\/(server|cli\/[^/]*)\.ts$|^scripts\/[^/]*\.ts$/.test(name)
const builtFrom = name => join(OUT, name.replace(/\.ts$/, '.js'))
rmSync(OUT, { recursive: true, force: true })
await build({
  entryPoints: [...tests, ...['test/helpers', 'scripts', 'src'].flatMap(below).filter(isProgram)],
  outdir: OUT,
  outbase: '.',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: 'linked',
  logLevel: 'warning',
  plugins: [{
    name: 'headless-mfa',
    setup ({ onLoad, onResolve }) {
      // Other packages stay where they are, but for those that are hundreds of small modules.
      onResolve({ filter: /^[^./]/ }, ({ kind, path }) => kind === 'entry-point' || /^(typebox|jose)(\/|$)/.test(path) ? undefined : { external: true })
      // What is looked for beside a source file is there still.
      onLoad({ filter: /\.ts$/ }, ({ path }) => path.includes('/node_modules/')
        ? undefined
        : ({
            loader: 'ts',
            contents: readFileSync(path, 'utf8')
              .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
              .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
          }))
    }
  }]
})
// What tap notes of each file that a process loads is for its own loader and for coverage: a tenth of a run's time, of which
// coverage needs what is ours.
const unnoted = env._TAPJS_PROCESSINFO_COVERAGE_ === '0' ? '/./' : '/\\/(\\.tap|node_modules)\\//'
run('node_modules/tap/dist/esm/run.mjs', `--test-env=_TAPJS_PROCESSINFO_EXCLUDE_=${unnoted}`,
  `--before=${builtFrom(tap.before)}`, `--after=${builtFrom(tap.after)}`,
  ...args.filter(arg => !isPath(arg)), ...tests.map(builtFrom))
