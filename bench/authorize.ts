// Row 3: a gateway's question, by an MFA token and by a first factor's token of a session that is remembered.
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { startChild } from './lib/children.ts'
import { meter } from './lib/cpu.ts'
import { fillEnrolled, mfaToken, sessionOf, spread, subjectOf, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { asymmetricIssuer, firstToken } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16
const KINDS = ['bare', 'mfa', 'session'] as const

export const authorize: Benchmark = {
  name: 'authorize',
  title: 'Authorize: what a gateway asks at each request',
  async run ({ dir, server, load, isShort, say }) {
    const count = isShort ? 200 : 2000
    const database = await server.create('bench_authorize')
    await fillEnrolled(database, dir, count)
    await database.settle()
    // As an identity provider signs, for both of them.
    const { env, publicPem, sign } = asymmetricIssuer(dir)
    const replica = await startReplica(dir, database.url, env)
    const bare = await startChild<{ url: string }>('bare-process.ts', { PUBLIC_KEY: publicPem })

    // A login of each user, which their session remembers.
    const users = spread(count, count)
    const token = (n: number): string => firstToken(TENANT, subjectOf(n), sessionOf(n), sign)
    const { groups: { login } } = await load.run(replica.url, [{
      name: 'login',
      connections: CONNECTIONS,
      ...verifies(users, sessionOf, sign)
    }])
    demand(login as Answers, 200, 'login')
    const renewed = await Promise.all(users.slice(0, isShort ? 20 : 200).map(async n => await mfaToken(replica.url, token(n))))

    const ask = (tokens: string[]): string[] => tokens.map(each => request({ path: '/mfa/authorize', token: each }))
    const requests = { bare: ask(users.map(token)), mfa: ask(renewed), session: ask(users.map(token)) }
    const rounds: Array<Record<typeof KINDS[number], Answers & { node: number, postgres: number }>> = []
    for (let round = -1; round < (isShort ? 1 : ROUNDS); round++) {
      const measured = {} as typeof rounds[number]
      for (const kind of KINDS) {
        const { url, pid } = kind === 'bare' ? { url: bare.report.url, pid: bare.pid } : replica
        const stop = meter([pid], server.pid)
        const { groups } = await load.run(
          url,
          [{ name: kind, connections: CONNECTIONS, requests: requests[kind], isRepeated: true }],
          isShort ? 0.5 : 4
        )
        const answers = groups[kind] as Answers
        const { node, postgres } = stop()
        demand(answers, 200, kind)
        measured[kind] = { ...answers, node: node / answers.count, postgres: postgres / answers.count }
      }
      if (round < 0) continue // To warm up.
      rounds.push(measured)
      say(`round ${round + 1}: ${KINDS.map(kind => `${kind} ${short(measured[kind].perSecond)}/s`).join(', ')}`)
    }
    bare.stop()
    await replica.stop()
    await database.drop()

    const of = (kind: typeof KINDS[number], name: 'perSecond' | 'p50' | 'p99' | 'node' | 'postgres'): string =>
      short(median(rounds.map(round => round[kind][name])))
    const ratio = (kind: 'mfa' | 'session'): number => median(rounds.map(round => round[kind].perSecond / round.bare.perSecond))
    const about = {
      bare: 'bare Fastify, `@fastify/jwt`, ES256',
      mfa: 'by an MFA token (ES256)',
      session: "by a first factor's token (ES256) of a remembered session"
    }
    return {
      figures: { authorizeOfBareFastify: ratio('mfa'), authorizeSessionOfBareFastify: ratio('session') },
      table: [
        ['what', 'a second', 'p50 / p99 ms', 'CPU of each, Node + PostgreSQL, ms'],
        ...KINDS.map(
          kind => [
            about[kind],
            of(kind, 'perSecond'),
            `${of(kind, 'p50')} / ${of(kind, 'p99')}`,
            `${of(kind, 'node')} + ${of(kind, 'postgres')}`
          ]
        )
      ],
      notes: [
        "The MFA token costs no round trip to the database, the session's one in half a minute. Each of 200 MFA tokens and of 2 000 of " +
        'the first factor is asked of again and again, as a gateway does, and its signature is checked once; bare Fastify checks it ' +
        'each time. Each request is logged.'
      ]
    }
  }
}
