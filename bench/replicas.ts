// Row 7: one, two and four replicas behind one PostgreSQL, and through PgBouncer in transaction mode.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { untilChained } from './lib/chained.ts'
import { meter } from './lib/cpu.ts'
import { fillEnrolled, refill, spread, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { type Answers, demand } from './lib/load.ts'
import { freePort, startReplica } from './lib/service.ts'

const CONNECTIONS = 16
const MANY_CONNECTIONS = 64
/** The figure is of these two: one right after the other, as the machine's pace changes, and in more rounds than the others. */
const PAIR = ['one replica', 'four']
const PAIR_ROUNDS = 7
/** Of a short run, in which starting them takes most of the time. */
const SHORT = ['one replica', 'two', 'one, through PgBouncer']
const PGBOUNCER = '/usr/sbin/pgbouncer'

export const replicas: Benchmark = {
  name: 'replicas',
  title: 'Replicas behind one PostgreSQL',
  async run ({ dir, server, load, isShort, say }) {
    const users = isShort ? 400 : 100_000
    const count = isShort ? 160 : 8000
    const database = await server.create('bench_replicas')
    await fillEnrolled(database, dir, users)
    const pooler = existsSync(PGBOUNCER) ? await startPooler(dir, database.url) : undefined
    const kinds = [
      { name: 'one replica', size: 1 },
      { name: 'four', size: 4 },
      { name: 'two', size: 2 },
      { name: `one, ${MANY_CONNECTIONS} connections`, size: 1, connections: MANY_CONNECTIONS },
      { name: `four, ${MANY_CONNECTIONS} connections`, size: 4, connections: MANY_CONNECTIONS },
      ...(pooler === undefined
        ? []
        : [{ name: 'one, through PgBouncer', size: 1, url: pooler.url }, { name: 'four, through PgBouncer', size: 4, url: pooler.url }])
    ].filter(({ name }) => !isShort || SHORT.includes(name))
    interface Measured { perSecond: number, p99: number, node: number, postgres: number }
    const rounds: Array<Map<string, Measured>> = []
    for (let round = 0; round < (isShort ? 1 : PAIR_ROUNDS); round++) {
      const measured = new Map<string, Measured>()
      for (
        const { name, size, url = database.url, connections = CONNECTIONS } of kinds.filter(({ name }) =>
          round < ROUNDS || PAIR.includes(name)
        )
      ) {
        const running = await Promise.all(Array.from({ length: size }, async () => await startReplica(dir, url)))
        const run = async (numbers: number[]): Promise<Answers[]> => {
          const { groups } = await load.run(url, running.map((replica, index) => ({
            name: String(index),
            url: replica.url,
            connections: connections / size,
            ...verifies(numbers.filter((_, place) => place % size === index))
          })))
          return Object.values(groups)
        }
        await refill(database)
        // A process that has just begun is slow: each has as many of these, whatever it has to do after them.
        for (let time = 0; time < (isShort ? 1 : 2); time++) {
          await run(spread(isShort ? connections : 3000 * size, users))
          await untilChained(database)
          await refill(database)
        }
        const stop = meter(running.map(({ pid }) => pid), server.pid)
        const answers = await run(spread(count, users))
        await untilChained(database)
        const { node, postgres } = stop()
        for (const each of answers) demand(each, 200, name)
        measured.set(name, {
          perSecond: count / Math.max(...answers.map(each => each.count / each.perSecond)),
          p99: Math.max(...answers.map(({ p99 }) => p99)),
          node: node / count,
          postgres: postgres / count
        })
        for (const replica of running) await replica.stop()
      }
      rounds.push(measured)
      say(`round ${round + 1}: ${[...measured].map(([name, { perSecond }]) => `${name} ${short(perSecond)}/s`).join(', ')}`)
    }
    await pooler?.stop()
    await database.drop()

    const of = (kind: string, name: keyof Measured): number => median(rounds.flatMap(round => round.get(kind)?.[name] ?? []))
    const ratios = rounds.map(round => PAIR.map(name => round.get(name)?.perSecond ?? NaN) as [number, number]).map(([one, four]) =>
      four / one
    )
    return {
      figures: { fourReplicasOfOne: median(ratios) },
      table: [
        ['what', 'a second', 'p99 ms', 'CPU of each, Node + PostgreSQL, ms', 'the database\'s share'],
        ...kinds.map((
          { name }
        ) => [
          name,
          short(of(name, 'perSecond')),
          short(of(name, 'p99')),
          `${short(of(name, 'node'))} + ${short(of(name, 'postgres'))}`,
          `${Math.round(100 * of(name, 'postgres') / (of(name, 'node') + of(name, 'postgres')))} %`
        ])
      ],
      notes: [
        `Logins on ${CONNECTIONS} connections in all but where it says otherwise, ten database connections for each replica. Four were ${
          short(Math.min(...ratios))
        } to ${short(Math.max(...ratios))} of one, in ${ratios.length} rounds.`,
        pooler === undefined
          ? 'PgBouncer is not installed: apt-get install pgbouncer.'
          : 'PgBouncer 1.18 in transaction mode knows no named statements: `?pgbouncer=true` in `DATABASE_URL` does without.'
      ]
    }
  }
}

/** Debian's PgBouncer in transaction mode before `databaseUrl`. */
async function startPooler (dir: string, databaseUrl: string): Promise<{ url: string, stop: () => Promise<void> }> {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl)
  const own = await freePort()
  const [file, auth] = [`${dir}/pgbouncer.ini`, `${dir}/pgbouncer-users.txt`]
  writeFileSync(auth, `"${username}" "${password}"\n`)
  writeFileSync(file, `[databases]
* = host=${hostname} port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${auth}
pool_mode = transaction
max_client_conn = 200
default_pool_size = 20
ignore_startup_parameters = extra_float_digits,statement_timeout,lock_timeout,idle_in_transaction_session_timeout
`)
  for (const path of [file, auth]) chmodSync(path, 0o644)
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0
  const child: ChildProcess = isRoot
    ? spawn('setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', PGBOUNCER, '-q', file], { stdio: 'ignore' })
    : spawn(PGBOUNCER, ['-q', file], { stdio: 'ignore' })
  const url = `postgresql://${username}:${password}@127.0.0.1:${own}${pathname}`
  for (const start = performance.now(); ; await sleep(50)) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    if (await client.connect().then(() => true, () => false)) {
      await client.end()
      return {
        url: `${url}?pgbouncer=true`,
        async stop () {
          const exit = once(child, 'exit')
          child.kill('SIGTERM')
          await exit
        }
      }
    }
    if (child.exitCode !== null || performance.now() - start > 20_000) throw new Error('PgBouncer does not start')
  }
}
