// npm run keys -- status | add | rotate | retire: the keys of MFA_ENCRYPTION_KEYS (sealing), MFA_PEPPERS (pepper) and
// MFA_SIGNING_KEYS (signing). With the service's own environment; docs/keys.md says in which order.
import { environmentOf } from '../dev.ts'
import { keysCommand } from './keys-command.ts'

const note = (line: string): void => { process.stderr.write(`${line}\n`) }

keysCommand(process.argv.slice(2), {
  env: environmentOf(process.env),
  say: line => { process.stdout.write(`${line}\n`) },
  note
}).catch((error: unknown) => {
  note((error as Error).message)
  process.exitCode = 1
})
