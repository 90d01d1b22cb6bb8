// npm run keys -- status | add | rotate | retire: the keys of MFA_ENCRYPTION_KEYS (sealing), MFA_PEPPERS (pepper) and
// MFA_SIGNING_KEYS (signing). With the service's own environment; docs/keys.md says in which order.
import { environmentOf } from '../config/development.ts'
import { explain } from './explain.ts'
import { keysCommand } from './keys-command.ts'
import { Refusal } from './options.ts'

const note = (line: string): void => { process.stderr.write(`${line}\n`) }

let env: NodeJS.ProcessEnv = process.env
try {
  env = environmentOf(env)
  await keysCommand(process.argv.slice(2), { env, say: line => { process.stdout.write(`${line}\n`) }, note })
} catch (error) {
  note(explain(error, env))
  process.exitCode = error instanceof Refusal ? error.exitCode : 1
}
