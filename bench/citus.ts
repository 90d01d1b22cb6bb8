// Beyond one machine: a whole verify on a cluster of Citus, of the bare guarded update there. Coordinator, two workers, the
// service and the load share this machine: what a further worker brings is not to be seen on it.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import pg from 'pg'
import { applyMigrations } from '../src/platform/db/migrate.ts'
import { distribute } from '../src/platform/db/distribute.ts'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { type CallCosts, costOfCalls } from './lib/calls.ts'
import { untilChained } from './lib/chained.ts'
import { meter } from './lib/cpu.ts'
import type { Database } from './lib/database.ts'
import { fillEnrolled, idInSql, refill, spread, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { type Answers, demand } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16

export const citus: Benchmark = {
  name: 'citus',
  title: 'Verify on a cluster of Citus',
  async run ({ dir, load, isShort, say }) {
    const users = isShort ? 200 : 10_000
    const count = isShort ? 100 : 5000
    const cluster = await startCluster()
    if (typeof cluster === 'string') {
      return {
        figures: { citusVerifyOfUpdate: null },
        why: { citusVerifyOfUpdate: cluster },
        table: [['what', 'a second'], ['nothing', '']],
        notes: [cluster]
      }
    }
    const { url, client } = cluster.database
    await applyMigrations(url)
    // As many as two workers need.
    await client.query('ALTER DATABASE mfa SET citus.shard_count = 8')
    await distribute(url, 'on')
    await fillEnrolled(cluster.database, dir, users)
    const replica = await startReplica(dir, url)
    const postmasters = await findPostmasters(client)
    interface Verified { perSecond: number, p99: number, node: number, database: number }
    const verify = async (numbers: number[], connections = CONNECTIONS): Promise<Verified> => {
      await refill(cluster.database)
      const requests = verifies(numbers)
      const stop = meter([replica.pid], postmasters)
      const { groups } = await load.run(replica.url, [{ name: 'verify', connections, ...requests }])
      await untilChained(cluster.database)
      const { node, postgres } = stop()
      const verify = groups.verify as Answers
      demand(verify, 200, 'verify')
      return { ...verify, node: node / numbers.length, database: postgres / numbers.length }
    }
    const script = `${dir}/update.sql`
    writeFileSync(
      script,
      `\\set n random(1, ${users})\nUPDATE factors SET counter = counter + 1, last_used_at = now() WHERE tenant = '${TENANT}' AND id = ${
        idInSql('factor', ':n')
      } AND counter < 1000000000;\n`
    )
    const update = async (): Promise<number> => {
      await refill(cluster.database)
      const { stdout } = await promisify(execFile)('pgbench', [
        '-n',
        '-M',
        'prepared',
        '-c',
        String(CONNECTIONS),
        '-j',
        '1',
        '-t',
        String(Math.ceil(count / CONNECTIONS)),
        '-f',
        script,
        url
      ])
      return Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
    }
    const rounds: Array<{ update: number, together: Verified, alone: Verified }> = []
    // As elsewhere: a process that has just begun is slow.
    for (let time = 0; time < (isShort ? 1 : 2); time++) await verify(spread(isShort ? 20 : 3000, users))
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      const bare = await update()
      const together = await verify(spread(count, users))
      const alone = await verify(spread(count / 10, users), 1)
      rounds.push({ update: bare, together, alone })
      say(
        `round ${round + 1}: update ${short(bare)}/s, verify ${short(together.perSecond)}/s, p99 ${short(together.p99)} ms, CPU ${
          short(together.node)
        } + ${short(together.database)} ms, alone ${short(alone.node)} + ${short(alone.database)} ms`
      )
    }
    await replica.stop()
    const why = postmasters.length > 0 ? [await compareCalls(cluster.database, postmasters, dir, spread(isShort ? 16 : 4000, users))] : []
    await client.end()
    await cluster.stop()
    const row = (what: string, kind: 'together' | 'alone'): string[] => {
      const of = (name: keyof Verified): string => short(median(rounds.map(round => round[kind][name])))
      return [what, of('perSecond'), of('p99'), postmasters.length > 0 ? `${of('node')} + ${of('database')}` : '']
    }
    return {
      figures: { citusVerifyOfUpdate: median(rounds.map(({ update, together }) => together.perSecond / update)) },
      table: [
        ['what', 'a second', 'p99 ms', 'CPU of each, Node + Citus, ms'],
        ['pgbench, one guarded `UPDATE` of a tenant\'s factor', short(median(rounds.map(({ update }) => update))), '', ''],
        row('`POST /mfa/verify`', 'together'),
        row('the same on one connection', 'alone')
      ],
      notes: [
        `Citus 13.2 on PostgreSQL 15, one coordinator and two workers, durable; ${
          short(users)
        } enrolled users of one tenant, so on one worker. All of it, the service and the load share the cores.`,
        ...why
      ]
    }
  }
}

/** How much of it is Citus: the same calls beside those of a database of the same server that is not distributed. */
async function compareCalls (distributed: Database, postmasters: number[], dir: string, numbers: number[]): Promise<string> {
  await distributed.client.query('CREATE DATABASE alone')
  const alone = await open(Object.assign(new URL(distributed.url), { pathname: '/alone' }).href)
  await applyMigrations(alone.url)
  await fillEnrolled(alone, dir, Math.max(...numbers))
  await alone.settle()
  const costs: CallCosts[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    costs.push([await costOfCalls(distributed, postmasters, numbers), await costOfCalls(alone, postmasters, numbers)])
  }
  await alone.client.end()
  const of = (place: number, name: keyof CallCosts): string => short(median(costs.map(each => each[place]?.[name] as number)))
  return `To read eight users in one call takes the cluster ${of(0, 'read')} ms of CPU, and to accept their codes ${
    of(0, 'accept')
  }; a database of the same server without Citus ${of(1, 'read')} and ${
    of(1, 'accept')
  }. The difference is the way to the worker, and Citus that plans there each of nine statements.`
}

/** The cluster's servers, where they are on this machine. */
async function findPostmasters (client: pg.Client): Promise<number[]> {
  if (process.env.TEST_CITUS_URL !== undefined) return []
  const file = "SELECT pg_read_file(''postmaster.pid'')"
  const { rows } = await client.query<{ text: string }>(
    `SELECT pg_read_file('postmaster.pid') AS text UNION ALL SELECT result FROM run_command_on_workers('${file}')`
  )
  return rows.map(({ text }) => parseInt(text))
}

/** That of scripts/with-citus.sh, or why there is none. */
async function startCluster (): Promise<{ database: Database, stop: () => Promise<void> } | string> {
  const child: ChildProcess = spawn('scripts/with-citus.sh', ['sh', '-c', 'echo "url $TEST_DATABASE_URL"; cat >/dev/null'], {
    env: { ...process.env, CITUS_DURABLE: 'yes' },
    stdio: ['pipe', 'pipe', 'pipe']
  })
  const exit = once(child, 'exit')
  let failure = ''
  child.stderr?.on('data', chunk => { failure += String(chunk) })
  const found = (async () => {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      if (line.startsWith('url ')) return line.slice(4)
    }
    return ''
  })()
  const url = await found
  if (url === '') {
    await exit
    return failure.trim().split('\n').at(-1) ?? 'the cluster does not start'
  }
  return {
    database: await open(url),
    async stop () {
      child.stdin?.end()
      await exit
    }
  }
}

/** A database of the cluster, which is thrown away as a whole. */
async function open (url: string): Promise<Database> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return {
    name: new URL(url).pathname.slice(1),
    url,
    client,
    async settle (tables = '') {
      await client.query(`VACUUM (ANALYZE) ${tables}`)
    },
    drop: async () => {}
  }
}
