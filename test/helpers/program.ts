// Programs of this repository that a test starts: as scripts/test.mjs compiled them, or else as they stand in `src` and `test`.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const { TEST_BUILD, TEST_COVERAGE } = process.env

/** Programs that run lines of `src` which no test runs in a process of its own: they are noted there, too. */
const ARE_NOTED = /^src\/cli\/(migrate|audit-verify)|^test\/helpers\/(chain|embedded|migrate)-process/

/** What Node is to run, and what it needs for that; `path` is below the repository's root. */
export function program (path: string): { file: string, execArgv: string[] } {
  if (TEST_BUILD === undefined) return { file: join(root, path), execArgv: ['--import=tsx'] }
  const isNoted = TEST_COVERAGE !== undefined && ARE_NOTED.test(path)
  const file = join(TEST_BUILD, isNoted ? '.' : 'fast', path.replace(/\.ts$/, '.js'))
  return { file, execArgv: isNoted ? [`--import=${join(root, 'scripts/note-coverage.mjs')}`] : [] }
}

/** The arguments of `node`. */
export function nodeArguments (path: string, ...args: string[]): string[] {
  const { file, execArgv } = program(path)
  return [...execArgv, file, ...args]
}

/** The image's sizes of memory; its other options a Node that is older than its own does not have. */
export function memoryArguments (): string[] {
  const [, entrypoint] = /^ENTRYPOINT (.*)$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) as unknown as [string, string]
  return (JSON.parse(entrypoint) as string[]).filter(argument => /^--.*=\d+$/.test(argument))
}
