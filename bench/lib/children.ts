// A process of the benchmarks' own, which says where it is and ends with us.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Child<T> { pid: number, report: T, stop: () => void }

export async function startChild<T> (file: string, env: Record<string, string> = {}): Promise<Child<T>> {
  const child: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), {
    execArgv: ['--import=tsx'],
    env: { PATH: process.env.PATH, ...env }
  })
  const [report] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => { throw new Error(`${file} ended`) })]) as [T]
  return { pid: child.pid as number, report, stop () { if (child.connected) child.disconnect() } }
}
