// tap imports its "coverage-map" into its own process, the one that makes the report; this is there for both. What
// scripts/test.mjs has compiled holds modules of `src`, of `test` and of programs in one file: tap is told to note what ran
// of every file that has any of `src`, and the report is of those sources that the tests have to cover.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Report } from 'c8'

// tsx leaves the sources out of its source maps, and c8 takes such a file for an empty one: 100 % covered, whatever ran.
if (process.env.TEST_BUILD === undefined) throw new Error('Coverage is what `npm test` reports: `npx tap` needs --disable-coverage.')

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Programs, which tests start as processes of their own; what Prisma generates; what needs a cluster (test/citus). */
const UNCOVERED = /^src\/(cli\/|db\/generated\/|db\/distribute\.ts|server\.ts|dev\.ts)/
const isCovered = file => /^src\/.*\.ts$/.test(file) && !UNCOVERED.test(file)

const prototype = Object.getPrototypeOf(new Report({}))
const make = prototype.getCoverageMapFromAllCoverageFiles
if (!make) throw new Error('c8 changed: the report would be of the tests themselves, too.')
prototype.getCoverageMapFromAllCoverageFiles = async function () {
  const map = await make.call(this)
  map.filter(file => isCovered(relative(root, file)))
  if (map.files().length === 0) throw new Error('The report has nothing of `src`: the source maps are not found.')
  return map
}

export default () => ['src/**/*.ts']
