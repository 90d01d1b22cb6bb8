// The replica that holds the lease chains and signs the events of all tenants, soon after they happen.
import type { Sql } from 'sql-template-tag'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AuditMemory } from '../../src/audit/memory.ts'
import type { Checkpoint } from '../../src/audit/checkpoint.ts'
import { UnavailableError } from '../../src/platform/unavailable.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import type { Break } from '../../src/audit/walk.sql.ts'
import { type ChainingOptions, signAll, startChaining } from '../../src/audit/worker.sql.ts'
import type { Database } from '../../src/platform/db/client.ts'
import { Lease } from '../../src/platform/db/lease.ts'
import { ownDatabase } from '../helpers/database.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { db, config } = service

function watch (): ChainingOptions & { errors: unknown[], actions: string[], signed: Checkpoint[], broken: Array<[string, Break]> } {
  const [errors, actions, signed, broken] = [[] as unknown[], [] as string[], [] as Checkpoint[], [] as Array<[string, Break]>]
  return {
    keys: config.MFA_SIGNING_KEYS,
    retentionDays: 400,
    memory: new AuditMemory(),
    errors,
    actions,
    signed,
    broken,
    onError: error => { errors.push(error) },
    onChained: events => { actions.push(...events.map(({ action }) => action)) },
    onUnsigned: (_, error) => { errors.push(error) },
    onSigned: checkpoint => { signed.push(checkpoint) },
    onBroken: (tenant, found) => { broken.push([tenant, found]) }
  }
}

/** Answers how to stop it. */
function start (db: Database, options: ChainingOptions): () => Promise<void> {
  const lease = new Lease(db, 'audit', options.onError, 20)
  startChaining(db, lease, options, { chainMs: 20, signMs: 100 })
  return () => lease.stop()
}

const chained = async (tenant: string): Promise<number> => (await db.rows`SELECT 1 FROM audit_chain WHERE tenant = ${tenant}`).length

t.test('of two replicas one works; the other when the first has gone; a broken chain stops no other', async t => {
  const [one, two] = [service.user(), service.user()]
  await one.enroll()
  await two.enroll()
  const [first, second] = [watch(), watch()]
  const stopFirst = start(db, first)
  t.ok(await until(() => new Set(first.signed.map(({ tenant }) => tenant)).size === 2), 'both tenants are chained and signed')
  t.same(first.actions, ['factor.started', 'factor.confirmed', 'factor.started', 'factor.confirmed'], 'each is told once')
  t.match(first.signed[0], { count: 2, digest: /^[0-9a-f]{64}$/ })
  const stopSecond = start(db, second)
  await one.call('POST', '/mfa/recovery/codes')
  await sleep(300)
  t.same([second.signed, second.errors, first.errors], [[], [], []])
  await stopFirst()

  await db.rows`UPDATE audit_heads SET count = 1 WHERE tenant = ${one.tenant}`
  for (const user of [one, two]) await user.call('GET', '/admin/policy')
  t.ok(await until(() => second.signed.some(({ tenant }) => tenant === two.tenant)), 'the other tenant is chained and signed')
  t.ok(await until(() => second.broken.some(([tenant]) => tenant === one.tenant)), 'and the broken one is reported')
  t.ok(second.signed.every(({ tenant }) => tenant === two.tenant))
  await stopSecond()
  t.equal(await chained(two.tenant), 3)
  t.equal((await verifyTenant(db, two.tenant, config.MFA_SIGNING_KEYS)).broken, null)
})

t.test('a tenant that the database kept from being signed is reported when the others are signed, so that it is soon tried ' +
  'again', async t => {
  const [one, other] = [service.user(), service.user()]
  for (const user of [one, other]) await user.enroll()
  const options = watch()
  for (const { tenant } of [one, other]) await chainTenant(db, tenant)
  const gone = new UnavailableError('gone')
  const failing: Database = {
    ...db,
    settle: async (name, call) => (call as Sql).values.includes(one.tenant) ? await Promise.reject(gone) : await db.settle(name, call)
  }
  await t.rejects(signAll(failing, options), gone)
  t.same(options.errors, [gone])
  t.ok(options.signed.some(({ tenant }) => tenant === other.tenant))
  await signAll(db, options)
  t.ok(options.signed.some(({ tenant }) => tenant === one.tenant))
})

t.test('without a database it goes on trying', async t => {
  const options = watch()
  const stop = start({ ...db, settle: () => Promise.reject(new Error('gone')) }, options)
  t.ok(await until(() => options.errors.length > 1), 'more than once')
  await stop()
})

t.test('by itself it begins after a second', async t => {
  const user = service.user()
  await user.enroll()
  const options = watch()
  const lease = new Lease(db, 'audit', options.onError)
  startChaining(db, lease, options)
  t.equal(await chained(user.tenant), 0)
  t.ok(await until(async () => await chained(user.tenant) === 2), 'it is chained')
  await lease.stop()
})
