// The service as a newcomer starts it, and commands as they paste them.
import { type ChildProcess, spawn } from 'node:child_process'
import { freePort } from './gateways.ts'
import { nodeArguments } from './program.ts'
import { until } from './until.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

// What tap adds for its own files.
const { NODE_OPTIONS: _, ...inherited } = process.env

export interface Running { child: ChildProcess, output: () => string, ended: Promise<number | null> }

function run (command: string, args: string[], env: Record<string, string> = {}): Running {
  const child = spawn(command, args, { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { text += String(chunk) })
  return { child, output: () => text, ended: new Promise(resolve => child.on('exit', resolve)) }
}

/** What `npm start` starts, with its embedded database and development keys, ended after the test. */
export async function startAsNewcomer (t: Teardown): Promise<{ origin: string, output: () => string }> {
  const port = await freePort()
  const service = run(process.execPath, nodeArguments('src/server.ts'), { PORT: String(port) })
  t.teardown(async () => { service.child.kill('SIGTERM'); await service.ended })
  await until(() => service.output().includes('Ctrl-C stops')).catch(() => { throw new Error(service.output()) })
  return { origin: `http://127.0.0.1:${port}`, output: service.output }
}

/**
 * Runs a script against that service, and stops at its first failure.
 * @returns what it printed
 */
export async function paste (script: string, origin: string): Promise<string> {
  const bash = run('bash', ['-euo', 'pipefail', '-c', script.replaceAll('http://127.0.0.1:3000', origin)])
  const code = await bash.ended
  if (code !== 0) throw new Error(`exit ${code}\n${bash.output()}`)
  return bash.output().trim()
}
