// Row 4: recovery codes, against bcrypt alone; and what logins feel of it.
import { cpus } from 'node:os'
import { generateCode } from '../src/factors/recovery-codes/recovery-code.ts'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { startChild } from './lib/children.ts'
import { BCRYPT_COST, fillEnrolled, giveCodes, recoveryCode, refill, subjectOf, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { firstToken } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16
/** A service that has room, so that a wait is one for recovery codes and not for the other logins. */
const LOGINS = { connections: 8, perSecond: 100 }
const FLOOD = { connections: CONNECTIONS, perSecond: 100 }

export const recovery: Benchmark = {
  name: 'recovery',
  title: 'Recovery codes, and logins meanwhile',
  async run ({ dir, server, load, isShort, say }) {
    const database = await server.create('bench_recovery')
    const users = isShort ? 400 : 4000
    await fillEnrolled(database, dir, users)
    await giveCodes(database, users / 4)
    const replica = await startReplica(dir, database.url)
    const seconds = isShort ? 1 : 6
    const cores = cpus().length
    const recover = (n: number, code: string): string =>
      request({ method: 'POST', path: '/mfa/recovery', token: firstToken(TENANT, subjectOf(n)), body: { code } })
    // Each uses a code of their own.
    let next = 0
    const right = (count: number): string[] => Array.from({ length: count }, () => recover(1 + next++, recoveryCode))
    let wrongs = 0
    const wrong = (count: number): string[] =>
      Array.from({ length: count }, () => recover(1 + users / 4 + wrongs++ % (users / 4), generateCode(wrongs % 10)))
    let logins = 0
    const login = (count: number): ReturnType<typeof verifies> =>
      verifies(Array.from({ length: count }, () => 1 + users / 2 + logins++ % (users / 2)))

    await load.run(replica.url, [{ name: 'login', connections: CONNECTIONS, ...login(isShort ? 50 : 1000) }, {
      name: 'right',
      connections: 4,
      requests: right(8)
    }])
    const rounds: Array<Record<'limit' | 'right' | 'wrong' | 'idleP99' | 'busyP99' | 'busyRate', number>> = []
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      await refill(database)
      const bcrypt = await startChild<{ perSecond: number }>('bcrypt-process.ts', {
        COST: String(BCRYPT_COST),
        CORES: String(cores),
        SECONDS: String(seconds)
      })
      const count = isShort ? 10 : Math.ceil(bcrypt.report.perSecond * seconds)
      const rates = {} as Record<'right' | 'wrong', number>
      for (const [name, requests, status] of [['right', right(count), 200], ['wrong', wrong(count), 422]] as const) {
        const { groups } = await load.run(replica.url, [{ name, connections: CONNECTIONS, requests }])
        demand(groups[name] as Answers, status, `${name} recovery codes`)
        rates[name] = (groups[name] as Answers).perSecond
      }
      const some = LOGINS.perSecond * seconds
      const { groups: idle } = await load.run(replica.url, [{ name: 'login', ...LOGINS, ...login(some) }])
      const { groups: busy } = await load.run(replica.url, [{ name: 'login', ...LOGINS, ...login(some) }, {
        name: 'flood',
        ...FLOOD,
        requests: wrong(some),
        isRepeated: true
      }])
      for (const { login } of [idle, busy]) demand(login as Answers, 200, 'login')
      const measured = {
        limit: bcrypt.report.perSecond,
        ...rates,
        idleP99: (idle.login as Answers).p99,
        busyP99: (busy.login as Answers).p99,
        busyRate: (busy.flood as Answers).perSecond
      }
      rounds.push(measured)
      say(
        `round ${round + 1}: bcrypt ${short(measured.limit)}/s, right ${short(measured.right)}/s, wrong ${
          short(measured.wrong)
        }/s; p99 of logins ${short(measured.idleP99)} → ${short(measured.busyP99)} ms beside ${short(measured.busyRate)}/s`
      )
    }
    await replica.stop()
    await database.drop()

    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    return {
      figures: {
        recoveryOfBcrypt: median(rounds.map(({ limit, right }) => right / limit)),
        verifyP99UnderRecovery: median(rounds.map(({ idleP99, busyP99 }) => busyP99 / idleP99))
      },
      table: [
        ['what', 'a second', 'p99 ms of 100 logins a second meanwhile'],
        [`bcrypt alone, cost ${BCRYPT_COST}, ${cores} at once`, short(of('limit')), ''],
        ['right recovery codes', short(of('right')), ''],
        ['wrong recovery codes', short(of('wrong')), ''],
        ['none', '', short(of('idleP99'))],
        ['100 wrong recovery codes a second', short(of('busyRate')), short(of('busyP99'))]
      ],
      notes: [
        `${CONNECTIONS} connections send recovery codes. A right one costs one bcrypt, a wrong one none: ` +
        'test/factors/recovery/recovery-flood.test.ts counts them.'
      ]
    }
  }
}
