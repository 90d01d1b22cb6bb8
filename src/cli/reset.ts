import { createInterface } from 'node:readline/promises'
import { DATA_DIR } from '../config/development.ts'
import { removeEmbedded } from '../platform/embedded-postgres/embedded.ts'
import { explain } from './explain.ts'
import { readOptions } from './options.ts'

const USAGE = `npm run reset [-- --yes]

Deletes what development keeps in .data, so that you can start over: the embedded database with all its users, factors
and policies, and the keys. The next npm start makes new ones. It asks first, and refuses while a service runs on it. A
database that DATABASE_URL names stays as it is.

  --yes   does not ask

Exits with 0 when it is done, 1 if it is not, 2 for a wrong call.`

const { values: { yes = false } } = readOptions(USAGE, { options: { yes: { type: 'boolean' } } })

async function isMeant (): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY) {
    throw new Error('Nothing was thrown away, because there is no terminal to ask on. Add --yes: npm run reset -- --yes')
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question(`Throw away all users, factors and keys in ${DATA_DIR}? (yes or no) `)
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}

try {
  if (await isMeant()) {
    await removeEmbedded(DATA_DIR)
    process.stdout.write('.data is gone. The next npm start begins anew.\n')
  } else {
    process.stdout.write('Nothing was thrown away.\n')
    process.exitCode = 1
  }
} catch (error) {
  process.stderr.write(`${explain(error, process.env)}\n`)
  process.exitCode = 1
}
