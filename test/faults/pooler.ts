// Debian's PgBouncer as scripts/with-pgbouncer.sh starts it, before any server of ours.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { once } from 'node:events'

export const hasPooler = (): boolean => process.getuid?.() === 0 && existsSync('/usr/sbin/pgbouncer')

export interface Pooler { url: string, stop: () => Promise<void> }

/** The URL is that of the server by way of the pooler. */
export async function startPooler (serverUrl: string): Promise<Pooler> {
  const child: ChildProcess = spawn('scripts/with-pgbouncer.sh', ['sh', '-c', 'echo $TEST_POOLER; exec cat'], {
    env: { ...process.env, TEST_DATABASE_URL: serverUrl }, stdio: ['pipe', 'pipe', 'inherit']
  })
  const [line] = await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  const url = new URL(serverUrl)
  url.host = String(line).trim()
  return {
    url: url.href,
    async stop () {
      const ended = once(child, 'exit')
      child.stdin?.end() // which ends `cat`, and then the script its pooler
      await ended
    }
  }
}
