// Row 1: right codes of distinct users, against the database doing the same statements, and against better-auth.
import type { Benchmark } from './lib/benchmark.ts'
import { ROUNDS } from './lib/benchmark.ts'
import { startBetterAuth } from './lib/better-auth.ts'
import { meter } from './lib/cpu.ts'
import { fillEnrolled, refill, spread, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { flame, type Frame, readProfile, sharesOf } from './lib/flame.ts'
import { type Answers, demand } from './lib/load.ts'
import { pgbench, pgbenchVersion } from './lib/pgbench.ts'
import { startReplica } from './lib/service.ts'
import { untilChained } from './lib/chained.ts'

const CONNECTIONS = 16

export const verify: Benchmark = {
  name: 'verify',
  title: 'Verify: right codes of distinct users',
  async run ({ dir, server, load, isShort, say }) {
    const users = isShort ? 1000 : 100_000
    const count = isShort ? 400 : 12_000
    const ours = await server.create('bench_verify')
    const theirs = await server.create('bench_pgbench')
    for (const database of [ours, theirs]) await fillEnrolled(database, dir, users)
    const replica = await startReplica(dir, ours.url)
    const warmUp = async (url = replica.url, logins = isShort ? 100 : 3000): Promise<void> => {
      await refill(ours)
      await load.run(url, [{ name: 'verify', connections: CONNECTIONS, ...verifies(spread(logins, users)) }])
      await untilChained(ours)
    }
    for (let time = 0; time < (isShort ? 1 : 3); time++) await warmUp()

    const peerDatabase = await server.create('bench_better_auth')
    const peer = await startBetterAuth(peerDatabase.url, isShort ? 20 : 1000).catch((error: unknown) => String(error))
    const peerLogins = async (some: number): Promise<Answers> => {
      if (typeof peer === 'string') throw new Error(peer)
      const logins = await peer.logins(some)
      await peerDatabase.settle()
      const { groups } = await load.run(peer.url, [{ name: 'login', connections: CONNECTIONS, ...logins }])
      demand(groups.login as Answers, 200, 'better-auth')
      return groups.login as Answers
    }
    if (typeof peer !== 'string') await peerLogins(isShort ? 16 : 300)

    const hasPgbench = pgbenchVersion() !== 'none'
    const rounds: Array<
      Record<'limit' | 'reads' | 'accepts' | 'peer' | 'perSecond' | 'p50' | 'p99' | 'node' | 'postgres' | 'late' | 'load', number>
    > = []
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      const { perSecond: peerRate } = typeof peer === 'string' ? { perSecond: NaN } : await peerLogins(isShort ? 32 : 600)
      let [limit, reads, accepts] = [NaN, NaN, NaN]
      if (hasPgbench) {
        await refill(theirs)
        await pgbench(dir, theirs.url, { clients: CONNECTIONS, count: count / 5, users })
        await refill(theirs)
        limit = await pgbench(dir, theirs.url, { clients: CONNECTIONS, count: count * 2, users })
        reads = await pgbench(dir, theirs.url, { clients: CONNECTIONS, count: count * 2, users, parts: ['read'] })
        await refill(theirs)
        accepts = await pgbench(dir, theirs.url, { clients: CONNECTIONS, count: count * 2, users, parts: ['accept'] })
        const { rows: [{ refused }] } = await theirs.client.query(
          "SELECT count(*)::int AS refused FROM audit_events WHERE action <> 'totp.accepted'"
        )
        if (refused > 0) throw new Error(`pgbench: ${refused as number} codes were not accepted`)
      }
      await warmUp()
      await refill(ours)
      const requests = verifies(spread(count, users))
      const stop = meter([replica.pid], server.pid)
      const { groups, cpuMs } = await load.run(replica.url, [{ name: 'verify', connections: CONNECTIONS, ...requests }])
      const during = stop()
      await untilChained(ours)
      const spent = stop()
      const answers = groups.verify as NonNullable<typeof groups.verify>
      demand(answers, 200, 'verify')
      const each = {
        limit,
        reads,
        accepts,
        peer: peerRate,
        perSecond: answers.perSecond,
        p50: answers.p50,
        p99: answers.p99,
        node: spent.node / count,
        postgres: spent.postgres / count,
        late: (spent.node + spent.postgres - during.node - during.postgres) / count,
        load: cpuMs / count
      }
      rounds.push(each)
      say(
        `round ${round + 1}: pgbench ${short(limit)}/s, better-auth ${short(peerRate)}/s, verify ${short(each.perSecond)}/s, p99 ${
          short(each.p99)
        } ms, CPU ${short(each.node)} + ${short(each.postgres)} ms (${short(each.late)} of it after the last answer), load ${
          short(each.load)
        } ms`
      )
    }
    await replica.stop()
    if (typeof peer !== 'string') peer.stop()
    const profile = await profileOf(dir, ours.url, async url => {
      for (let time = 0; time < (isShort ? 1 : 3); time++) await warmUp(url, count)
    })
    for (const database of [ours, theirs, peerDatabase]) await database.drop()

    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    const why = 'pgbench is not installed: apt-get install postgresql-15'
    return {
      figures: {
        verifyOfPgbench: hasPgbench ? median(rounds.map(({ limit, perSecond }) => perSecond / limit)) : null,
        verifyOfBetterAuth: typeof peer === 'string' ? null : median(rounds.map(({ peer, perSecond }) => perSecond / peer)),
        verifyCpuMs: median(rounds.map(({ node, postgres }) => node + postgres))
      },
      why: {
        ...(!hasPgbench && { verifyOfPgbench: why }),
        ...(typeof peer === 'string' && { verifyOfBetterAuth: `better-auth did not start: ${peer}` })
      },
      table: [
        ['what', 'a second', 'p50 / p99 ms', 'CPU of each, Node + PostgreSQL, ms'],
        ['pgbench, the same two functions, for one login at a time', short(of('limit')), '', ''],
        ['of them the reading of the user alone', short(of('reads')), '', ''],
        ['of them the accepting of the code alone', short(of('accepts')), '', ''],
        ['better-auth 1.7, `verify-totp` as the second step of a sign-in', short(of('peer')), '', ''],
        [
          '`POST /mfa/verify`',
          short(of('perSecond')),
          `${short(of('p50'))} / ${short(of('p99'))}`,
          `${short(of('node'))} + ${short(of('postgres'))}`
        ]
      ],
      notes: [
        `${short(users)} enrolled users, ${CONNECTIONS} connections, ${short(count)} logins a round. Logins that come at the same ` +
        'moment go together, up to eight in a call (src/platform/db/batcher.ts); pgbench makes two calls and one commit for each. CPU ' +
        `is counted until the last event is in its chain; the load takes ${short(of('load'))} ms more of each, on the same cores.`,
        `Where Node's part goes, start and warm-up among it: ${
          sharesOf(profile).slice(0, 12).map(([group, share]) => `${group} ${(100 * share).toFixed(0)} %`).join(', ')
        }; \`src/\` is ours, by folder. Writing to a socket on these cores is also the time for which the kernel gives the core to ` +
        'who was woken.',
        '[![Flame graph of Node during logins](verify-flame.svg)](verify-flame.svg)'
      ],
      files: { 'verify-flame.svg': flame(profile, 'Node during logins (POST /mfa/verify), by function and package') }
    }
  }
}

/** Where one replica's time goes while `work` busies it. */
async function profileOf (dir: string, databaseUrl: string, work: (url: string) => Promise<void>): Promise<Frame> {
  const profiles = `${dir}/profiles`
  const replica = await startReplica(dir, databaseUrl, {}, ['--cpu-prof', `--cpu-prof-dir=${profiles}`])
  await work(replica.url)
  await replica.stop()
  return readProfile(profiles)
}
