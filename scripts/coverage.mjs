// How much of `src` the tests run: what note-coverage.mjs notes of each process, as one report.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Report } from 'c8'

const root = fileURLToPath(new URL('../', import.meta.url))
const COVERAGE = join(root, '.test/coverage')

/** Programs, which tests start as processes of their own; what Prisma generates; what needs a cluster (test/citus). */
const UNCOVERED = /^src\/(cli\/|platform\/db\/(generated\/|distribute\.ts)|server\.ts|config\/development\.ts)/
const isToCover = file => /^src\/.*\.ts$/.test(file) && !UNCOVERED.test(file)

/** The source maps of what ran, where c8 looks for them: it would not find the sources of a file that has several. */
function writeSourceMaps () {
  const maps = readdirSync(COVERAGE).flatMap(name => JSON.parse(readFileSync(join(COVERAGE, name), 'utf8')).result).map(({ url }) => {
    const file = fileURLToPath(url)
    const map = existsSync(`${file}.map`) ? JSON.parse(readFileSync(`${file}.map`, 'utf8')) : undefined
    return [url, map && { data: { ...map, sources: map.sources.map(source => resolve(dirname(file), source)) } }]
  })
  writeFileSync(join(COVERAGE, 'maps.json'), JSON.stringify({ result: [], 'source-map-cache': Object.fromEntries(maps) }))
}

/** Prints what was not run. @returns whether all was */
export async function reportCoverage () {
  if (existsSync(COVERAGE)) writeSourceMaps()
  const report = new Report({
    skipFull: true,
    reporter: ['text'],
    reportsDirectory: COVERAGE,
    tempDirectory: COVERAGE,
    excludeNodeModules: true
  })
  const map = await report.getCoverageMapFromAllCoverageFiles() // which it keeps
  map.filter(file => isToCover(relative(root, file)))
  if (map.files().length === 0) throw new Error('The report has nothing of `src`: the source maps are not found.')
  const { lines, statements, functions, branches } = map.getCoverageSummary()
  const isAll = [lines, statements, functions, branches].every(({ pct }) => pct === 100)
  if (!isAll) await report.run()
  console.log(isAll ? `# all of src/ is covered: ${lines.total} lines, ${branches.total} branches` : '# not all of src/ is covered')
  return isAll
}
