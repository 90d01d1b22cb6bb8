#!/usr/bin/env node
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { NAMES } from '../config/config.ts'
import { unknown } from '../config/names.ts'
import { type Disposable, Interrupted, startDisposable } from './disposable.ts'
import { explain } from './explain.ts'
import { readOptions, refuseCall } from './options.ts'

const USAGE = `headless-mfa --test [--json] [--set NAME=VALUE …] [-- COMMAND …]
headless-mfa token check [TOKEN] [--env-file FILE]      (headless-mfa token check --help says more)

Starts a disposable service for tests, with a database and keys of its own. When it ends, all of it is gone. Never in
production. It prints its URL and the secret that signs first-factor tokens, and runs until Ctrl-C. With a command, it
puts both into the command's environment, and ends with the command's exit code.

  --json   prints one line of JSON: url, tokenSecret, issuer, audience
  --set    sets a variable of the service, such as --set CORS_ORIGINS=http://127.0.0.1:5173

Exits as the command does, or with 127 if there is no such command. Without a command: 0 at its end, 1 if it cannot
start, 2 for a wrong call. docs/ci.md shows it in a CI.`

/** `npx headless-mfa --test`: what the CI of an application starts. */
async function main (): Promise<void> {
  const [noun, verb, ...args] = process.argv.slice(2)
  if (noun === 'token' && verb === 'check') await (await import('./token-check.ts')).runCheck(args)
  const { values, positionals: command } = readOptions(USAGE, {
    options: { test: { type: 'boolean' }, json: { type: 'boolean' }, set: { type: 'string', multiple: true } },
    allowPositionals: true
  })
  if (values.test !== true) refuseCall(USAGE, '--test is missing.')
  const service = await startDisposable(Object.fromEntries((values.set ?? []).map(pair)))
  if (command.length === 0 || values.json === true) print(service, values.json === true)
  if (command.length > 0) await end(service, await run(command, { ...process.env, ...service.access }))
  else process.stderr.write('A service for tests is ready. Ctrl-C ends it, and all that it holds.\n')
}

function pair (text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) refuseCall(USAGE, '--set takes NAME=VALUE.')
  const name = text.slice(0, at)
  if (!NAMES.includes(name)) refuseCall(USAGE, `--set: ${name} ${unknown(name, NAMES)}`)
  if (/^DATABASE_.*URL/.test(name)) refuseCall(USAGE, `--set: ${name} is not for a service for tests, which has a database of its own.`)
  return [name, text.slice(at + 1)]
}

function print ({ access }: Disposable, isJson: boolean): void {
  const { MFA_TEST_URL: url, MFA_TEST_TOKEN_SECRET: tokenSecret, MFA_TEST_ISSUER: issuer, MFA_TEST_AUDIENCE: audience } = access
  const lines = isJson
    ? [JSON.stringify({ url, tokenSecret, issuer, audience })]
    : Object.entries(access).map(([name, value]) => `${name}=${value}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** In a folder of the PATH. One that may not be read makes EACCES of every command that is in none. */
const isFound = (command: string, { PATH = '' }: NodeJS.ProcessEnv): boolean =>
  command.includes('/') || PATH.split(delimiter).some(folder => existsSync(join(folder, command)))

/** The command's exit code, as a shell counts one that a signal ended, or that cannot be started. */
async function run ([command, ...args]: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(command as string, args, { env, stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  return await new Promise(resolve => {
    child.once('error', ({ code }: NodeJS.ErrnoException) => {
      const isThere = code !== 'ENOENT' && isFound(command as string, env)
      process.stderr.write(`${command as string}: ${isThere ? `cannot be started (${code as string})` : 'there is no such command'}.\n`)
      resolve(isThere ? 126 : 127)
    })
    child.once('exit', (code, signal) => { resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]) })
  })
}

async function end (service: Disposable, code: number): Promise<never> {
  await service.stop()
  process.exit(code)
}

main().catch((error: unknown) => {
  if (error instanceof Interrupted) process.exit(error.exitCode)
  process.stderr.write(`${explain(error, {})}\n`)
  process.exit(1)
})
