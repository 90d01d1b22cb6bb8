// Row 6: wrong codes on 64 connections, against one user and against many; what they cost, and what others feel.
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { untilChained } from './lib/chained.ts'
import { meter } from './lib/cpu.ts'
import { fillEnrolled, refill, subjectOf, TENANT, verifies, wrongCode } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { firstToken } from './lib/keys.ts'
import { type Answers, demand, type Group, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16
const ATTACKERS = 64
const ATTACKS = {
  one: 'against one user, from one address',
  many: 'against many users, from one address',
  spread: 'against many users, from 64 addresses'
} as const
type Attack = keyof typeof ATTACKS

export const attack: Benchmark = {
  name: 'attack',
  title: 'Under attack: wrong codes on 64 connections',
  async run ({ dir, server, load, isShort, say }) {
    const users = isShort ? 400 : 20_000
    const count = isShort ? 100 : 4000
    const database = await server.create('bench_attack')
    await fillEnrolled(database, dir, users)
    // With the default flood limit, so each user comes from an address of their own, and the attackers from theirs.
    const replica = await startReplica(dir, database.url, { RATE_LIMIT_PER_MINUTE: '600', TRUSTED_PROXIES: '127.0.0.1/32' })
    const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address })
    let next = 0
    const logins = (some: number): Group => {
      const numbers = Array.from({ length: some }, () => 1 + next++ % (users / 2))
      return {
        name: 'login',
        connections: CONNECTIONS,
        ...verifies(numbers, () => ({}), undefined, n => from(`10.${n >> 16}.${(n >> 8) % 256}.${n % 256}`))
      }
    }
    const guess = (n: number, code: string, address: string): string =>
      request({ method: 'POST', path: '/mfa/verify', token: firstToken(TENANT, subjectOf(n)), body: { code }, headers: from(address) })
    const guesses = (kind: Attack, some: number): string[] => {
      const code = wrongCode()
      return Array.from(
        { length: some },
        (_, index) =>
          guess(
            kind === 'one' ? users : users / 2 + 1 + index % (users / 2 - 1),
            code,
            kind === 'spread' ? `203.0.113.${index % ATTACKERS}` : '198.51.100.7'
          )
      )
    }

    // What a right and a wrong code cost, each alone and from addresses that are not counted yet.
    const cost = async (group: Group): Promise<number> => {
      const stop = meter([replica.pid], server.pid)
      const { groups } = await load.run(replica.url, [group])
      await untilChained(database)
      const { node, postgres } = stop()
      return (node + postgres) / (groups[group.name] as Answers).count
    }
    let addresses = 0
    const refusals = (some: number, user: (index: number) => number): Group => ({
      name: 'guess',
      connections: CONNECTIONS,
      requests: Array.from({ length: some }, (_, index) => guess(user(index), wrongCode(), `172.16.${addresses >> 8}.${addresses++ % 256}`))
    })
    await load.run(replica.url, [logins(isShort ? 50 : 3000)])
    const costs: Array<Record<'right' | 'wrong' | 'waiting', number>> = []
    const rounds: Array<Record<'calm' | Attack, number> & Record<`${Attack}Rate`, number>> = []
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      await refill(database)
      const some = isShort ? 50 : 2000
      costs.push({
        right: await cost(logins(some)),
        wrong: await cost(refusals(some, index => users / 2 + 1 + index % (users / 2 - 1))),
        waiting: await cost(refusals(some, () => users))
      })
      const measured = {} as typeof rounds[0]
      for (const kind of ['calm', 'one', 'many', 'spread'] as const) {
        await refill(database)
        const group = logins(count)
        const attackers: Group[] = kind === 'calm'
          ? []
          : [{ name: 'attack', connections: ATTACKERS, requests: guesses(kind, isShort ? 100 : 10_000), isRepeated: true }]
        const { groups } = await load.run(replica.url, [group, ...attackers])
        demand(groups.login as Answers, 200, 'login')
        measured[kind] = (groups.login as Answers).p99
        if (kind !== 'calm') measured[`${kind}Rate`] = (groups.attack as Answers).perSecond
        await untilChained(database)
      }
      rounds.push(measured)
      say(
        `round ${round + 1}: CPU right ${short(costs[round]?.right as number)}, wrong ${short(costs[round]?.wrong as number)}, waiting ${
          short(costs[round]?.waiting as number)
        } ms; p99 ${short(measured.calm)} → one ${short(measured.one)}, many ${short(measured.many)}, spread ${short(measured.spread)} ms`
      )
    }
    await replica.stop()
    await database.drop()

    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    const costOf = (name: keyof typeof costs[0]): string => `${short(median(costs.map(each => each[name])))} ms of CPU`
    return {
      figures: { othersP99UnderAttack: median(rounds.map(({ calm, one, many }) => Math.max(one, many) / calm)) },
      table: [
        ['what', 'measured'],
        ['a right code', costOf('right')],
        ['a wrong code, of a user who has not failed yet', costOf('wrong')],
        ['a code of a user who has to wait', costOf('waiting')],
        ['p99 of logins on 16 connections', `${short(of('calm'))} ms`],
        ...(Object.keys(ATTACKS) as Attack[]).map(
          kind => [
            `the same while 64 connections send wrong codes ${ATTACKS[kind]}`,
            `${short(of(kind))} ms, beside ${short(of(`${kind}Rate`))} of them a second`
          ]
        )
      ],
      notes: [
        'The flood limit is as it comes, 600 a minute of one address, of which eight are answered at a time; who is refused is told so ' +
        'after half a second. Against many addresses it does little in its first minute: each of the 64 connections is then served as ' +
        'the 16 are.'
      ]
    }
  }
}
