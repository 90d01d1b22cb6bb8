// `node --import=…/note-coverage.mjs FILE`: notes for scripts/coverage.mjs which lines of what scripts/test.mjs compiled this process
// runs, and each of its threads. As NODE_V8_COVERAGE does, but whether instead of how often, and nothing of packages, which cost more.
import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { threadId } from 'node:worker_threads'

const build = new URL('../.test/', import.meta.url)
const folder = new URL('coverage/', build)

const session = new Session()
session.connect()
session.post('Profiler.enable')
session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true })

function note () {
  session.post('Profiler.takePreciseCoverage', (error, { result }) => {
    if (error) throw error
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      new URL(`${process.pid}-${threadId}.json`, folder),
      JSON.stringify({ result: result.filter(({ url }) => url.startsWith(build.href)) })
    )
  })
}

// After all that listens to its end.
const { emit } = process
process.emit = (event, ...args) => {
  const wasHeard = emit.call(process, event, ...args)
  if (event === 'exit') note()
  return wasHeard
}
