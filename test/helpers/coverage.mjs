// tap imports its "coverage-map" into its own process, the one that makes the report; this is here for that, and maps
// nothing. Why: tsx leaves the sources out of its source maps, and c8, with which tap makes the report, takes such a file
// for an empty one, so 100 % covered, whatever ran. Before the report is made, every process' record gets them put in.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Report } from 'c8'

const prototype = Object.getPrototypeOf(new Report({}))
const make = prototype.getCoverageMapFromAllCoverageFiles
if (!make) throw new Error('c8 changed: without completed source maps, all coverage that tap reports would be 100 %.')
prototype.getCoverageMapFromAllCoverageFiles = function () {
  completeSourceMaps(new URL('../../.tap/coverage/', import.meta.url))
  return make.call(this)
}

function completeSourceMaps (dir) {
  for (const name of readdirSync(dir)) {
    const file = new URL(name, dir)
    const record = JSON.parse(readFileSync(file, 'utf8'))
    for (const { data } of Object.values(record['source-map-cache'])) {
      data.sourcesContent = data.sources.map(source => readFileSync(fileURLToPath(source), 'utf8'))
    }
    writeFileSync(file, JSON.stringify(record))
  }
}

/** No globs: the files that a test loads, less package.json's "coverage-exclude". */
export default () => []
