// Replicas as processes of their own, which a run may kill, stop and start anew, and which notes those that end by themselves.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './gateways.ts'
import { memoryArguments, nodeArguments } from './program.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

const { NODE_OPTIONS: _, ...inherited } = process.env

export class Replica {
  /** How it ended, each time that it was not told to. */
  readonly ends: string[] = []
  #child: ChildProcess | undefined
  #isToldToEnd = false
  private constructor (readonly name: string, readonly port: number, readonly logFile: string, readonly program: string) {}

  /** @param program what it runs: the one of tests can have its clock set */
  static async make (t: Teardown, name: string, logFile: string, program = 'test/helpers/serve-process.ts'): Promise<Replica> {
    const replica = new Replica(name, await freePort(), logFile, program)
    t.teardown(() => { replica.#isToldToEnd = true; replica.#child?.kill('SIGKILL') })
    return replica
  }

  get url (): string { return `http://127.0.0.1:${this.port}` }
  get pid (): number { return this.#child?.pid as number }

  async start (env: Record<string, string>, logFile = this.logFile): Promise<void> {
    const log = openSync(logFile, 'a')
    const child = spawn(process.execPath, [...memoryArguments(), ...nodeArguments(this.program)], {
      env: { ...inherited, ...env, PORT: String(this.port) }, stdio: ['ignore', log, log, 'ipc']
    })
    closeSync(log)
    this.#child = child
    this.#isToldToEnd = false
    child.once('exit', (code, signal) => { if (!this.#isToldToEnd) this.ends.push(`${this.name} ended by itself: ${signal ?? code}`) })
    for (let tries = 0; !await this.isReady(); tries++) {
      if (tries > 300 || child.exitCode !== null) {
        throw new Error(`${this.name} does not start: ${readFileSync(this.logFile, 'utf8').slice(-2000)}`)
      }
      await sleep(50)
    }
  }

  async isReady (): Promise<boolean> {
    return await fetch(`${this.url}/health/ready`, { signal: AbortSignal.timeout(2000) }).then(({ ok }) => ok, () => false)
  }

  /** SIGTERM, and what it ends with: the code, which must be 0, and the signal. */
  async stop (): Promise<unknown[]> {
    const [code, signal] = await this.#end('SIGTERM')
    if (code !== 0) this.ends.push(`${this.name} ended at a SIGTERM with ${String(signal ?? code)}`)
    return [code, signal]
  }

  async kill (): Promise<void> { await this.#end('SIGKILL') }

  async #end (name: NodeJS.Signals): Promise<unknown[]> {
    const child = this.#child as ChildProcess
    this.#isToldToEnd = true
    const ended = once(child, 'exit')
    child.kill(name)
    return await ended
  }

  freeze (): void { this.#child?.kill('SIGSTOP') }
  thaw (): void { this.#child?.kill('SIGCONT') }
  /** So many milliseconds ahead. */
  setClock (ms: number): void { this.#child?.send(ms) }
}
