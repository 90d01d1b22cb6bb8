// Beyond one machine: a whole verify on a cluster of Citus, of the bare guarded update there. Coordinator, two workers, the
// service and the load share this machine: what a further worker brings is not to be seen on it.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import pg from 'pg'
import { applyMigrations } from '../src/db/migrate.ts'
import { distribute } from '../src/db/distribute.ts'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { untilChained } from './lib/chained.ts'
import type { Database } from './lib/database.ts'
import { fillEnrolled, idInSql, refill, spread, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { demand } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16

export const citus: Benchmark = {
  name: 'citus',
  title: 'Verify on a cluster of Citus',
  async run ({ dir, load, isShort, say }) {
    const users = isShort ? 200 : 10_000
    const count = isShort ? 100 : 5000
    const cluster = await startCluster()
    if (typeof cluster === 'string') return { figures: { citusVerifyOfUpdate: null }, why: { citusVerifyOfUpdate: cluster }, table: [['what', 'a second'], ['nothing', '']], notes: [cluster] }
    const { url, client } = cluster.database
    await applyMigrations(url)
    // As many as two workers need.
    await client.query('ALTER DATABASE mfa SET citus.shard_count = 8')
    await distribute(url, 'on')
    await fillEnrolled(cluster.database, dir, users)
    const replica = await startReplica(dir, url)
    const verify = async (numbers: number[]): Promise<{ perSecond: number, p99: number }> => {
      await refill(cluster.database)
      const { groups: { verify } } = await load.run(replica.url, [{ name: 'verify', connections: CONNECTIONS, ...verifies(numbers) }])
      demand(verify as NonNullable<typeof verify>, 200, 'verify')
      await untilChained(cluster.database)
      return verify as NonNullable<typeof verify>
    }
    const script = `${dir}/update.sql`
    writeFileSync(script, `\\set n random(1, ${users})\nUPDATE factors SET last_step = last_step + 1, last_used_at = now() WHERE tenant = '${TENANT}' AND id = ${idInSql('factor', ':n')} AND last_step < 1000000000;\n`)
    const update = async (): Promise<number> => {
      await refill(cluster.database)
      const { stdout } = await promisify(execFile)('pgbench', ['-n', '-M', 'prepared', '-c', String(CONNECTIONS), '-j', '1', '-t', String(Math.ceil(count / CONNECTIONS)), '-f', script, url])
      return Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
    }
    const rounds: Array<{ update: number, verify: number, p99: number }> = []
    await verify(spread(isShort ? 20 : 2000, users))
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      const bare = await update()
      const { perSecond, p99 } = await verify(spread(count, users))
      rounds.push({ update: bare, verify: perSecond, p99 })
      say(`round ${round + 1}: update ${short(bare)}/s, verify ${short(perSecond)}/s, p99 ${short(p99)} ms`)
    }
    await replica.stop()
    await client.end()
    await cluster.stop()
    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    return {
      figures: { citusVerifyOfUpdate: median(rounds.map(({ update, verify }) => verify / update)) },
      table: [
        ['what', 'a second', 'p99 ms'],
        ['pgbench, one guarded `UPDATE` of a tenant\'s factor', short(of('update')), ''],
        ['`POST /mfa/verify`', short(of('verify')), short(of('p99'))]
      ],
      notes: [`Citus 13.2 on PostgreSQL 15, one coordinator and two workers, durable; ${short(users)} enrolled users of one tenant, so on one worker. All of it, the service and the load share the cores.`]
    }
  }
}

/** That of scripts/with-citus.sh, or why there is none. */
async function startCluster (): Promise<{ database: Database, stop: () => Promise<void> } | string> {
  const child: ChildProcess = spawn('scripts/with-citus.sh', ['sh', '-c', 'echo "url $TEST_DATABASE_URL"; cat >/dev/null'], { env: { ...process.env, CITUS_DURABLE: 'yes' }, stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = once(child, 'exit')
  let failure = ''
  child.stderr?.on('data', chunk => { failure += String(chunk) })
  const found = (async () => {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) if (line.startsWith('url ')) return line.slice(4)
    return ''
  })()
  const url = await found
  if (url === '') {
    await exit
    return failure.trim().split('\n').at(-1) ?? 'the cluster does not start'
  }
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return {
    database: {
      name: 'mfa',
      url,
      client,
      async settle (tables = '') { await client.query(`VACUUM (ANALYZE) ${tables}`) },
      drop: async () => {}
    },
    async stop () {
      child.stdin?.end()
      await exit
    }
  }
}
