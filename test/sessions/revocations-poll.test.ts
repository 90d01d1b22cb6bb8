// What ends tokens is recorded by the statement that ends them.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { REVOCATION_SECONDS } from '../../src/sessions/revocations.ts'
import { sweep } from '../../src/maintenance/sweep.sql.ts'
import type { Acr } from '../../src/http/auth/caller.ts'
import { connect } from '../../src/platform/db/client.ts'
import { RevocationPoll } from '../../src/sessions/revocations.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { type User, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { useService } from '../helpers/use-service.ts'

const SESSIONS = { JWT_SESSION_CLAIM: 'sid' }

const revocationsOf = (user: User): Promise<Array<{ issuer: string, session: string, epoch: number, generation: number }>> =>
  user.service.db.rows`SELECT issuer, session, epoch, generation FROM revocations WHERE tenant = ${user.tenant} ORDER BY at`

t.test('whatever moves an epoch or a generation records it, and what moves none records nothing', async t => {
  const service = await startService(t, SESSIONS)
  const user = service.user({ sid: 's1' })
  const first = await user.enroll()
  const second = await user.enroll(first.token, 'Tablet')
  await user.call('POST', '/mfa/recovery/codes', {}, second.token)
  t.same(await revocationsOf(user), [])
  await user.call('DELETE', '/mfa/session')
  await user.call('DELETE', '/mfa/session')
  const loggedOut = { issuer: 'https://id.test', session: 's1', epoch: 1, generation: 2 }
  t.same(await revocationsOf(user), [loggedOut], 'of one session, once')
  const token = await user.verify(first.secret)
  t.equal((await user.call('DELETE', `/mfa/factors/${second.factorId}`, {}, token)).status, 200)
  t.same(await revocationsOf(user), [loggedOut, { issuer: '', session: '', epoch: 2, generation: 0 }], 'of everything')
  t.equal((await user.call('DELETE', '/mfa/sessions', {}, await user.verify(first.secret))).status, 204)
  t.same(await revocationsOf(user), [loggedOut, { issuer: '', session: '', epoch: 3, generation: 0 }])
})

t.test('a revocation is kept for as long as a token may be older, and its session for longer', async t => {
  const service = await startService(t, { ...SESSIONS, MFA_TOKEN_SECONDS: '60' })
  const user = service.user({ sid: 's1' })
  await user.enroll()
  await user.call('DELETE', '/mfa/session')
  const age = (seconds: number): Promise<unknown> => service.db.rows`
    UPDATE revocations SET at = now() - ${seconds}::int * interval '1 second' WHERE tenant = ${user.tenant}`
  await age(REVOCATION_SECONDS - 30)
  await sweep(service.db)
  t.equal((await revocationsOf(user)).length, 1)
  await age(REVOCATION_SECONDS + 1)
  t.ok(await sweep(service.db) >= 1)
  t.same(await revocationsOf(user), [])
  const [kept] = await service.db.rows<
    { seconds: number }
  >`SELECT extract(epoch FROM expires_at - clock_timestamp())::int AS seconds FROM mfa_sessions WHERE tenant = ${user.tenant}`
  t.ok((kept?.seconds as number) > REVOCATION_SECONDS + 60)
})

t.test('however busy the other connections are, gateways are answered', async t => {
  const service = await useService(t, { AUTHORIZE_STALE_SECONDS: '1' })
  const { token } = await service.user().enroll()
  // Ten connections of the pool, two of the reports, and a hundred calls that wait for each of them.
  const isOver = { now: false }
  const busy = [...Array.from({ length: 110 }, () => service.db.rows), ...Array.from({ length: 102 }, () => service.db.reports)].map(
    async rows => {
      while (!isOver.now) await rows`SELECT pg_sleep(0.5)`.catch(() => {})
    })
  const statuses = new Set<number>()
  for (const begun = performance.now(); performance.now() - begun < 4000; await sleep(50)) {
    statuses.add((await service.call('GET', '/mfa/authorize', { token })).status)
  }
  isOver.now = true
  await Promise.all(busy)
  t.same([...statuses], [200])
})

const asks = (tenant: string, phishingResistant: string): Promise<unknown> => database.rows`
  INSERT INTO policies (tenant, phishing_resistant, updated_at) VALUES (${tenant}, ${phishingResistant}, now())
  ON CONFLICT (tenant) DO UPDATE SET phishing_resistant = excluded.phishing_resistant, updated_at = excluded.updated_at`
const { url } = await ownDatabase(t)
const database = connect(url, 3)
t.teardown(() => database.close())

/** A memory of its own, and what it says of a token that nothing has ended. */
async function poll (
  options: { areAllAsking?: boolean, capacity?: number } = {}
): Promise<{ judge: (tenant: string, acr?: Acr) => string, end: () => Promise<void> }> {
  const poll = new RevocationPoll(database, { staleSeconds: 60, areAllAsking: false, onError: error => { throw error }, ...options })
  await poll.start()
  const now = new Date()
  const judge = (tenant: string, acr: Acr = 'mfa'): string =>
    poll.judge({
      tenant,
      session: undefined,
      authTime: now.getTime() / 1000,
      expiresAt: now.getTime() / 1000 + 900,
      mfa: { userId: 'u', epoch: 1, acr, factorId: 'f', generation: 0, isBypass: false }
    }, now)
  return { judge, end: async () => { await poll.stop() } }
}

t.test('where a policy asks for passkeys, of any other token the database must be asked', async t => {
  await asks('binding', 'administrators')
  await asks('off', 'off')
  const { judge, end } = await poll()
  t.teardown(end)
  t.same([judge('binding'), judge('binding', 'mfa-recovery'), judge('binding', 'phr'), judge('off'), judge('none')], [
    'unknown',
    'unknown',
    'alive',
    'alive',
    'alive'
  ])
  await asks('binding', 'off')
  await asks('off', 'required')
  await until(() => judge('binding') === 'alive' && judge('off') === 'unknown')
  const every = await poll({ areAllAsking: true })
  t.same([every.judge('none'), every.judge('none', 'phr')], ['unknown', 'alive'], 'as the floor does')
  await every.end()
})

t.test('more tenants that ask than are kept: then it is asked of every one', async t => {
  for (const tenant of ['x1', 'x2', 'x3']) await asks(tenant, 'required')
  const few = await poll({ capacity: 2 })
  t.same([few.judge('x1'), few.judge('none'), few.judge('none', 'phr')], ['unknown', 'unknown', 'alive'])
  await few.end()
})
