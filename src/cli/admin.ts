// npm run admin -- reset | unlock | sign-out | bypass | enable | policy: what an administrator does over the API, for an operator
// with a shell where the service runs, for when no administrator can. With the service's own environment; in the image
// node dist/cli/admin.js. docs/administration.md says when.
import { environmentOf } from '../config/development.ts'
import { adminCommand } from './admin-command.ts'
import { explain } from './explain.ts'

const note = (line: string): void => { process.stderr.write(`${line}\n`) }

try {
  process.exitCode = await adminCommand(process.argv.slice(2), {
    env: environmentOf(process.env),
    say: text => {
      process.stdout.write(`${text}\n`)
    },
    note
  })
} catch (error) {
  note(explain(error, process.env))
  process.exitCode = 2
}
