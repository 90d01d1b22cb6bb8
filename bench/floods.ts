// Connections that say nothing, are slow, or send far ahead, all from one address; what they take, and what others feel.
import type { Benchmark } from './lib/benchmark.ts'
import { ROUNDS } from './lib/benchmark.ts'
import { startChild } from './lib/children.ts'
import { peakMiB } from './lib/cpu.ts'
import { fillEnrolled, mfaToken, refill, sessionOf, spread, subjectOf, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import type { Flood } from './lib/flood-process.ts'
import { firstToken } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const SIZE = { idle: 2000, slow: 200, ahead: 100, calls: 400 }
const PER_SECOND = 100
const ELSEWHERE = { 'x-forwarded-for': '203.0.113.9' }

export const floods: Benchmark = {
  name: 'floods',
  title: 'Floods: idle and slow connections, and calls sent far ahead',
  async run ({ dir, server, load, isShort, say }) {
    const users = 50
    const database = await server.create('bench_floods')
    await fillEnrolled(database, dir, users)
    await database.settle()
    const rounds: Array<Record<'calm' | 'p50' | 'p99' | 'before' | 'peak', number>> = []
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      // With the flood limit as it comes; the others come from another address, by a proxy.
      const replica = await startReplica(dir, database.url, { RATE_LIMIT_PER_MINUTE: '600', TRUSTED_PROXIES: '127.0.0.1/32' })
      await refill(database)
      const logins = verifies(spread(users, users), sessionOf, undefined, () => ELSEWHERE)
      demand((await load.run(replica.url, [{ name: 'login', connections: 4, ...logins }])).groups.login as Answers, 200, 'login')
      const tokens = await Promise.all(
        spread(users, users).map(async n => await mfaToken(replica.url, firstToken(TENANT, subjectOf(n), sessionOf(n))))
      )
      const requests = tokens.map(token => request({ path: '/mfa/authorize', token, headers: ELSEWHERE }))
      const ask = async (seconds: number): Promise<Answers> => {
        const { groups } = await load.run(
          replica.url,
          [{ name: 'ask', connections: 8, requests, isRepeated: true, perSecond: PER_SECOND }],
          seconds
        )
        demand(groups.ask as Answers, 200, 'authorize')
        return groups.ask as Answers
      }
      const calm = await ask(isShort ? 1 : 3)
      const before = peakMiB(replica.pid)
      const { hostname: host, port } = new URL(replica.url)
      // As a gateway asks, on connections that are there before; for longer than a slow one is borne with.
      const FLOOD = JSON.stringify({ host, port: Number(port), ...SIZE } satisfies Flood)
      const [asked, flood] = await Promise.all([ask(isShort ? 4 : 20), startChild('flood-process.ts', { FLOOD })])
      const peak = peakMiB(replica.pid)
      flood.stop()
      await replica.stop()
      rounds.push({ calm: calm.p99, p50: asked.p50, p99: asked.p99, before, peak })
      say(`round ${round + 1}: p99 ${short(calm.p99)} → ${short(asked.p99)} ms, ${short(before)} → ${short(peak)} MiB`)
    }
    await database.drop()

    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    const { idle, slow, ahead, calls } = SIZE
    return {
      figures: { floodMiB: of('peak'), authorizeP99UnderFlood: of('p99') },
      table: [
        ['what', 'measured'],
        [`\`/mfa/authorize\` of others, ${PER_SECOND} a second, p99`, `${short(of('calm'))} ms`],
        ['the same under the flood, p50 / p99', `${short(of('p50'))} / ${short(of('p99'))} ms`],
        ['resident set at its largest, before the flood', `${short(of('before'))} MiB`],
        ['and under it', `${short(of('peak'))} MiB`]
      ],
      notes: [
        `From one address ${short(idle)} connections that say nothing, ${slow} that send a byte a second of a head or of a body, and ` +
        `${ahead} on which ${calls} calls each are always sent ahead (${short(ahead * calls)} in all): readiness, metrics, a gateway's ` +
        'question without a token, the keys and a path that is not there. Each connection that is ended is opened again. All answers ' +
        'to the others were 200.'
      ]
    }
  }
}
