// A cluster of Citus as the tests of its outages need it: who has a tenant, and workers that are lost and come back.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { execute, nodesOf, readRun } from './database.ts'
import type { User, Service } from './service.ts'

const run = promisify(execFile)

export interface Place { shard: number, port: number }

/** Where the rows of a tenant are: its shard of `users`, with which all others lie, and the port of the worker. */
export async function placeOf ({ db }: Service, tenant: string): Promise<Place> {
  const [place] = await db.rows<Place>`
    SELECT shardid::int AS shard, nodeport::int AS port FROM pg_dist_shard_placement
    WHERE shardid = get_shard_id_for_distribution_column('users', ${tenant}::text)`
  return place as Place
}

/** `count` users who are enrolled, each of a tenant of their own, on each worker. */
export async function usersOnEach (service: Service, count: number): Promise<Map<number, Array<{ user: User, secret: string }>>> {
  const found = new Map<number, Array<{ user: User, secret: string }>>()
  for (let tries = 0; tries < 100 && (found.size < 2 || [...found.values()].some(users => users.length < count)); tries++) {
    const user = service.user()
    const { port } = await placeOf(service, user.tenant)
    const users = found.get(port) ?? []
    found.set(port, users)
    if (users.length < count) users.push({ user, secret: (await user.enroll()).secret })
  }
  return found
}

/** What is answered with success stays, whatever is lost: not so in the other tests, where nothing needs to reach the disk. */
export async function makeDurable (databaseUrl: string): Promise<void> {
  for (const node of await nodesOf(readRun().server)) {
    await execute(node, `ALTER DATABASE ${new URL(databaseUrl).pathname.slice(1)} SET synchronous_commit = on`)
  }
}

/** Ends a worker as a crash does: in the middle of whatever it does, with nothing written that is not in its log. */
export async function crash (port: number): Promise<void> {
  const pid = Number(readFileSync(join(await dataOf(port), 'postmaster.pid'), 'utf8').split('\n')[0])
  process.kill(pid, 'SIGQUIT')
  for (let tries = 0; ; tries++) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    if (tries === 200) throw new Error(`the worker at ${port} does not end`)
    await sleep(50)
  }
}

/** Starts it again, which recovers from its log. */
export async function revive (port: number): Promise<void> {
  const data = await dataOf(port)
  await run('setpriv', [
    '--reuid=postgres',
    '--regid=postgres',
    '--init-groups',
    '/usr/lib/postgresql/15/bin/pg_ctl',
    '-D',
    data,
    '-l',
    `${data}.log`,
    '-w',
    '-s',
    'start'
  ], { cwd: '/' })
}

/** Of the cluster that scripts/with-citus.sh started: of another one, the processes are not ours to end. */
async function dataOf (port: number): Promise<string> {
  const dir = process.env.CITUS_DIR
  if (dir === undefined) {
    throw new Error('Only workers of a cluster that scripts/with-citus.sh started can be lost: without TEST_CITUS_URL, as root.')
  }
  const ports = (await nodesOf(readRun().server)).map(node => Number(new URL(node).port))
  return join(dir, String(ports.indexOf(port)))
}
