import { Interrupted } from '../../src/cli/disposable.ts'
import { explain } from '../../src/cli/explain.ts'
import { readOptions, refuseCall } from '../../src/cli/options.ts'
import { ACCOUNTS } from './back-end/users.ts'
import { startExample } from './example.ts'

const USAGE = `npm run example

An application with a second factor, whole, to walk through and to copy from: sign in as one of the users that it lists.
It has a service and a PostgreSQL of its own, and needs nginx (apt-get install nginx-light). docs/front-end.md leads through it.

  PORT=8080   where the browser goes

Ctrl-C ends it, and all that it holds.`

readOptions(USAGE, {})
const port = Number(process.env.PORT ?? 8080)
if (!Number.isInteger(port) || port < 1 || port > 65535) refuseCall(USAGE, 'PORT is not a whole number from 1 to 65535.')

// A signal during the start counts when it is done: then nothing is left.
let isAsked = false
const asked = new Promise<void>(resolve => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => { isAsked = true; resolve() })
})
try {
  const { origin, stop } = await startExample({ port })
  const lines = ACCOUNTS.map(({ name, password, hasSso, roles }) =>
    `  ${name.padEnd(6)} ${
      [password !== undefined ? `password "${password}"` : '', hasSso === true ? 'company sign-in' : ''].filter(text => text !== '').join(
        ', or by '
      )
    }${roles === undefined ? '' : ' (administrator)'}`
  )
  if (!isAsked) process.stdout.write(`\n  ${origin}\n\n${lines.join('\n')}\n\n  Ctrl-C ends it, and all that it holds.\n`)
  await asked
  await stop()
  process.exit(0)
} catch (error) {
  if (error instanceof Interrupted) process.exit(error.exitCode)
  process.stderr.write(`${explain(error, process.env)}\n`)
  process.exit(1)
}
