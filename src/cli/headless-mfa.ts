#!/usr/bin/env node
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { NAMES } from '../config.ts'
import { unknown } from '../config/names.ts'
import { type Disposable, startDisposable } from './disposable.ts'

const USAGE = `headless-mfa --test [--json] [--set NAME=VALUE …] [-- COMMAND …]

A disposable service for tests: an embedded PostgreSQL and keys of its own, gone when it ends. Never in production.
It prints where it is and the secret that signs first-factor tokens, and runs until Ctrl-C; or, with a command, sets
that in the command's environment, and ends with it, with its exit code.

  --json   in one line of JSON: url, tokenSecret, issuer, audience
  --set    a variable of the service, for instance --set CORS_ORIGINS=http://127.0.0.1:5173
`

/** `npx headless-mfa --test`: what somebody else's CI starts. */
async function main (): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { test: { type: 'boolean' }, json: { type: 'boolean' }, set: { type: 'string', multiple: true }, help: { type: 'boolean' } },
    allowPositionals: true
  })
  if (values.help === true) { process.stdout.write(USAGE); return }
  if (values.test !== true) throw new Error(USAGE)
  let isAsked = false
  const asked = (): void => { isAsked = true }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, asked) // else an end during the start would leave the database
  const service = await startDisposable(Object.fromEntries((values.set ?? []).map(pair)))
  if (isAsked) return await end(service, 130)
  if (positionals.length === 0 || values.json === true) print(service, values.json === true)
  if (positionals.length > 0) await end(service, await run(positionals, { ...process.env, ...service.access }))
  else process.stderr.write('A service for tests is ready. Ctrl-C ends it, and all that it holds.\n')
}

function pair (text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`--set ${text}: not NAME=VALUE`)
  const name = text.slice(0, at)
  if (!NAMES.includes(name)) throw new Error(`--set: ${name} ${unknown(name, NAMES)}`)
  if (/^DATABASE_.*URL/.test(name)) throw new Error(`--set: ${name} is not for a service for tests, which has a database of its own`)
  return [name, text.slice(at + 1)]
}

function print ({ access }: Disposable, isJson: boolean): void {
  const { MFA_TEST_URL: url, MFA_TEST_TOKEN_SECRET: tokenSecret, MFA_TEST_ISSUER: issuer, MFA_TEST_AUDIENCE: audience } = access
  const lines = isJson ? [JSON.stringify({ url, tokenSecret, issuer, audience })] : Object.entries(access).map(([name, value]) => `${name}=${value}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** The command's exit code, as a shell counts one that a signal ended. */
async function run ([command, ...args]: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(command as string, args, { env, stdio: 'inherit' })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => { resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]) })
  })
}

async function end (service: Disposable, code: number): Promise<never> {
  await service.stop()
  process.exit(code)
}

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
})
