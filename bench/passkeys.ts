// Row 1, by passkeys: signed answers of distinct users, beside right codes of the same ones.
import { readRegistration } from '../src/factors/passkeys/answer.ts'
import { issueChallenge } from '../src/factors/passkeys/challenge.ts'
import { handleOf, toText } from '../src/factors/passkeys/passkey.ts'
import { seal } from '../src/keys/seal.ts'
import { Authenticator } from '../test/helpers/authenticator.ts'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { untilChained } from './lib/chained.ts'
import { meter } from './lib/cpu.ts'
import type { Database } from './lib/database.ts'
import { fillEnrolled, idOf, refill, spread, subjectOf, TENANT, userId, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { firstToken, SEALING_KEY } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16
const KINDS = ['passkey', 'code'] as const
const RP_ID = 'example.com'
const ORIGIN = 'https://app.example.com'
const ring = { primary: 'k1', keys: new Map([['k1', SEALING_KEY]]) }

/** Gives each user a passkey, whose authenticator is answered. */
async function givePasskeys ({ client }: Database, numbers: number[]): Promise<Map<number, Authenticator>> {
  const relyingParty = { tenants: '*' as const, rpId: RP_ID, name: '', origins: [ORIGIN], userVerification: 'required' as const }
  const authenticators = new Map<number, Authenticator>()
  for (const n of numbers) {
    const authenticator = new Authenticator({ origin: ORIGIN, algorithm: -7 })
    const user = { id: toText(handleOf(userId(n))) }
    const credential = authenticator.create({ challenge: 'AAAA', rp: { id: RP_ID }, user, pubKeyCredParams: [], excludeCredentials: [] })
    const made = await readRegistration(credential as never, { relyingParty, findChallengeFault: () => null })
    if (typeof made === 'string') throw new Error(`a passkey was refused: ${made}`)
    const factorId = idOf('passkey', n)
    const none = { algorithm: null, digits: null, period: null }
    const { sealed } = seal(ring, { ...none, kind: 'passkey', tenant: TENANT, userId: userId(n), factorId }, made.publicKey)
    await client.query(`INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, counter, created_at, confirmed_at, credential_id, rp_id, backup_eligible, aaguid, transports)
      VALUES ($1, $2, $3, 'passkey', 'Passkey 1', $4, 'k1', 0, now(), now(), $5, $6, false, $7, '{internal}')`, [TENANT, factorId, userId(n), sealed, made.id, RP_ID, made.aaguid])
    authenticators.set(n, authenticator)
  }
  return authenticators
}

export const passkeys: Benchmark = {
  name: 'passkeys',
  title: 'Verify: passkeys of distinct users',
  async run ({ dir, server, load, isShort, say }) {
    const users = isShort ? 60 : 4000
    const database = await server.create('bench_passkeys')
    await fillEnrolled(database, dir, users)
    const numbers = spread(users, users)
    const authenticators = await givePasskeys(database, numbers)
    const replica = await startReplica(dir, database.url, { PASSKEY_RP_ID: RP_ID, PASSKEY_ORIGINS: ORIGIN })

    /** As the browser would answer a challenge of now. */
    const answers = (): string[] => numbers.map(n => {
      const authenticator = authenticators.get(n) as Authenticator
      const asked = { tenant: TENANT, userId: userId(n), epoch: 1, session: null, rpId: RP_ID }
      const challenge = toText(issueChallenge(ring, asked, new Date()))
      const credential = authenticator.get({ challenge, rpId: RP_ID, allowCredentials: [...authenticator.kept.keys()].map(id => ({ id })) })
      return request({ method: 'POST', path: '/mfa/passkeys/verify', token: firstToken(TENANT, subjectOf(n)), body: { credential } })
    })
    const rounds: Array<Record<typeof KINDS[number], Answers & { node: number, postgres: number }>> = []
    for (let round = -1; round < (isShort ? 1 : ROUNDS); round++) {
      const measured = {} as typeof rounds[number]
      for (const kind of KINDS) {
        if (kind === 'code') await refill(database)
        const requests = kind === 'passkey' ? { requests: answers() } : verifies(numbers)
        const stop = meter([replica.pid], server.pid)
        const { groups } = await load.run(replica.url, [{ name: kind, connections: CONNECTIONS, ...requests }])
        await untilChained(database)
        const { node, postgres } = stop()
        demand(groups[kind] as Answers, 200, kind)
        measured[kind] = { ...groups[kind] as Answers, node: node / users, postgres: postgres / users }
      }
      if (round < 0) continue // To warm up.
      rounds.push(measured)
      say(`round ${round + 1}: ${KINDS.map(kind => `${kind} ${short(measured[kind].perSecond)}/s, CPU ${short(measured[kind].node)} + ${short(measured[kind].postgres)} ms`).join('; ')}`)
    }
    await replica.stop()
    await database.drop()

    const of = (kind: typeof KINDS[number], name: 'perSecond' | 'p50' | 'p99' | 'node' | 'postgres'): string =>
      short(median(rounds.map(round => round[kind][name])))
    const about = { passkey: '`POST /mfa/passkeys/verify`, ES256', code: '`POST /mfa/verify`' }
    const ratio = median(rounds.map(({ passkey, code }) => passkey.perSecond / code.perSecond))
    return {
      figures: {},
      table: [
        ['what', 'a second', 'p50 / p99 ms', 'CPU of each, Node + PostgreSQL, ms'],
        ...KINDS.map(kind => [about[kind], of(kind, 'perSecond'), `${of(kind, 'p50')} / ${of(kind, 'p99')}`, `${of(kind, 'node')} + ${of(kind, 'postgres')}`])
      ],
      notes: [`${short(users)} users, ${CONNECTIONS} connections. Passkeys reach ${short(ratio)} times the rate of codes: the goal is 0.8, and at most 2 ms of CPU. Codes that come at the same moment are settled together, answers of passkeys each by itself.`]
    }
  }
}
