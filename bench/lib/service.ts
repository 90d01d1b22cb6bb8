// The service as it is deployed: compiled, a process of its own, its log in a file.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { memoryArguments } from '../../test/helpers/program.ts'
import { environment } from './keys.ts'

export interface Replica {
  url: string
  pid: number
  /** From the start of the process until it says that it is ready. */
  readyMs: number
  stop: () => Promise<void>
}

const running = new Set<ChildProcess>()
let replicas = 0

/** Of a benchmark that failed. */
export function endReplicas (): void { for (const child of running) child.kill('SIGKILL') }

export async function startReplica (
  dir: string,
  databaseUrl: string,
  env: Record<string, string | undefined> = {},
  nodeArguments: string[] = []
): Promise<Replica> {
  const port = await freePort()
  const logFile = `${dir}/replica-${++replicas}.log`
  const log = openSync(logFile, 'w')
  const start = performance.now()
  const child = spawn(process.execPath, [
    ...memoryArguments(),
    ...nodeArguments,
    fileURLToPath(new URL('../../dist/server.js', import.meta.url))
  ], {
    env: { PATH: process.env.PATH, ...environment(databaseUrl, port), ...env }, stdio: ['ignore', log, log]
  })
  closeSync(log)
  running.add(child)
  child.once('exit', () => running.delete(child))
  const url = `http://127.0.0.1:${port}`
  while (!await isReady(url)) {
    if (child.exitCode !== null || performance.now() - start > 120_000) {
      throw new Error(`the service does not start: ${readFileSync(logFile, 'utf8').slice(-2000)}`)
    }
    await sleep(5)
  }
  return {
    url,
    pid: child.pid as number,
    readyMs: performance.now() - start,
    async stop () {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    }
  }
}

const isReady = (url: string): Promise<boolean> => fetch(`${url}/health/ready`).then(({ ok }) => ok, () => false)

export async function freePort (): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
