// The audit's workers, while an attacker with every right on the database, or with the service's login, works against them.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startAudit } from '../../src/audit/start.ts'
import { AuditMemory } from '../../src/audit/memory.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { checkSigned } from '../../src/audit/check.sql.ts'
import { signTenant } from '../../src/audit/checkpoint.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import { connect } from '../../src/platform/db/client.ts'
import { Metrics } from '../../src/http/plugins/metrics.ts'
import { ownDatabase } from '../helpers/database.ts'
import { asOwner, serviceRole } from '../helpers/role.ts'
import { type Answer, type User, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)
const service = await startService(t, { DATABASE_URL: role.url })
/** Who owns the tables. */
const owner = connect(url, 2)
t.teardown(() => owner.close())

interface Line { level: string, fields: any, text: string }

interface Replica {
  lines: Line[]
  memory: AuditMemory
  breaks: () => Promise<number>
  waiting: () => Promise<number>
  stop: () => Promise<void>
}

/** The audit's workers of one replica, all of whose work is done within some rounds. */
function startReplica (t: Test, { memory = new AuditMemory(), checkMs = 50, db = service.db } = {}): Replica {
  const lines: Line[] = []
  const metrics = new Metrics()
  const write = (level: string) => (fields: any, text: string): void => { lines.push({ level, fields, text }) }
  const log = { info: write('info'), warn: write('warn'), error: write('error') } as unknown as Parameters<typeof startAudit>[0]['log']
  const { config, secrets } = service
  const stop = startAudit({
    config,
    secrets,
    db,
    memory,
    metrics,
    log,
    times: { leaseMs: 20, chainMs: 20, signMs: 50, watchMs: 50, lookMs: 20, checkMs }
  })
  t.teardown(stop)
  const read = async (name: string): Promise<number> => ((await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value ?? NaN)
  return { lines, memory, breaks: () => read('mfa_audit_breaks_total'), waiting: () => read('mfa_audit_waiting_seconds'), stop }
}

const NOT_SIGNED = 'the audit is not signed'
/** But for what a busy machine had no time for. */
const errorsOf = ({ lines }: Replica, tenant: string): Line[] =>
  lines.filter(({ level, fields, text }) =>
    level === 'error' && fields.tenant === tenant && (text !== NOT_SIGNED || fields.err.name !== 'UnavailableError')
  )
const signedOf = ({ lines }: Replica, tenant: string): any[] =>
  lines.filter(({ fields, text }) => text === 'audit checkpoint' && fields.tenant === tenant).map(({ fields }) => fields)

/** An auditor with some events of others in the tenant, all of them signed by `replica`. */
async function signed (
  replica: Replica,
  events = 10
): Promise<{ auditor: User, token: string, tenant: string, verify: () => Promise<Answer> }> {
  const auditor = service.user({ roles: ['mfa:auditor'] })
  const { token } = await auditor.enroll()
  await write(auditor.tenant, events - 2)
  await until(() => replica.memory.newest(auditor.tenant)?.count === events)
  return { auditor, token, tenant: auditor.tenant, verify: () => auditor.call('GET', '/admin/audit/verify', undefined, token) }
}

const sign = (tenant: string, memory: AuditMemory): ReturnType<typeof signTenant> =>
  signTenant(service.db, tenant, { keys: service.secrets.signing, retentionDays: 400, memory })

const write = (tenant: string, count: number): Promise<unknown> =>
  service.db
    .rows`SELECT count(audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp', '{"address": "192.0.2.1"}', '{}')::text)
      FROM generate_series(1, ${count}::int)`

/** The chain by the recipe of docs/audit.md, over the events that there are now. At once, as replicas chain meanwhile. */
async function rechain (tenant: string): Promise<void> {
  await owner.rows`WITH links AS (DELETE FROM audit_chain WHERE tenant = ${tenant} RETURNING tenant, at, id),
      heads AS (DELETE FROM audit_heads WHERE tenant = ${tenant})
    INSERT INTO audit_pending SELECT tenant, at, id FROM links ON CONFLICT DO NOTHING`
  await chainTenant(owner, tenant)
}

async function cut (tenant: string, to: number): Promise<void> {
  await owner
    .rows`DELETE FROM audit_events e USING audit_chain c WHERE e.tenant = ${tenant} AND c.tenant = e.tenant AND c.at = e.at
      AND c.id = e.id AND c.position > ${to}::int`
  await owner.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position > ${to}::int`
  await owner
    .rows`UPDATE audit_heads h SET count = ${to}::int, hash = c.hash FROM audit_chain c WHERE h.tenant = ${tenant}
      AND c.tenant = h.tenant AND c.position = ${to}::int`
}

const empty = (tenant: string): Promise<void> =>
  asOwner(url, ['events', 'chain', 'heads', 'pending', 'checkpoints'].map(table => `DELETE FROM audit_${table} WHERE tenant = '${tenant}'`))

/** What the owner of the tables can do to ten signed events so that the tables alone show nothing. */
const forgeries: Array<[what: string, forge: (tenant: string) => Promise<void>]> = [
  ['an event is rewritten, the chain made anew, all checkpoints are deleted', async tenant => {
    await owner.rows`UPDATE audit_events SET subject = 'someone else' WHERE tenant = ${tenant} AND action = 'factor.confirmed'`
    await rechain(tenant)
    await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
  }],
  ['the same with more events than were signed', async tenant => {
    await owner.rows`UPDATE audit_events SET subject = 'someone else' WHERE tenant = ${tenant} AND action = 'factor.confirmed'`
    await owner.rows`SELECT audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp', '{}', '{}')::text`
    await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
    await rechain(tenant)
  }],
  ['the tail is cut off with its checkpoints', async tenant => {
    await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
    await cut(tenant, 8)
  }],
  ['the tail is cut off, and other events are put in its place', async tenant => {
    await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
    await cut(tenant, 8)
    await owner
      .rows`SELECT count(audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp', '{}', '{}')::text) FROM generate_series(1, 2)`
    await chainTenant(owner, tenant)
  }],
  ['all tables of the audit are emptied', async tenant => {
    await empty(tenant)
  }],
  ['all of it is replaced by another chain', async tenant => {
    await empty(tenant)
    await owner
      .rows`SELECT count(audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp', '{}', '{}')::text) FROM generate_series(1, 12)`
    await chainTenant(owner, tenant)
  }]
]

for (const [what, forge] of forgeries) {
  t.test(`${what}: reported once, signed by no replica, ok for none`, async t => {
    const replica = startReplica(t, { memory: service.memory })
    const { tenant, verify } = await signed(replica)
    t.match((await verify()).body, { ok: true, events: 10 })
    const before = signedOf(replica, tenant).length
    await forge(tenant)
    t.match((await verify()).body, { ok: false, brokenAt: { cause: /changed|missing/ } }, 'at once, by what this replica remembers')
    await until(() => errorsOf(replica, tenant).length > 0)
    t.match(errorsOf(replica, tenant), [{ fields: { tenant, brokenAt: {} }, text: 'the audit was changed' }])
    // What is remembered was put back: a replica that remembers nothing sees it too.
    t.not((await verifyTenant(service.db, tenant, service.secrets.signing)).broken, null, 'for `npm run audit:verify`')

    await write(tenant, 3)
    await sleep(500)
    t.equal(signedOf(replica, tenant).length, before, 'nothing is signed on top of it')
    t.match(await sign(tenant, new AuditMemory()), { cause: /./ }, 'nor would a replica that has just begun')
    t.equal(errorsOf(replica, tenant).length, 1, 'and it is told once')
    t.equal(await replica.breaks(), 1)
    t.match((await verify()).body, { ok: false })
  })
}

/** One look of a replica that signs nothing itself: what it says to have found. */
async function check (memory: AuditMemory, keys = service.secrets.signing): Promise<Array<{ tenant: string, cause: string }>> {
  const found: Array<{ tenant: string, cause: string }> = []
  await checkSigned(service.db, {
    keys,
    memory,
    onError: error => { throw error },
    onBroken: (tenant, { cause }) => { found.push({ tenant, cause }) }
  })
  return found
}

/** Six events that one replica has signed, and what another one has seen of it. */
async function seen (): Promise<{ tenant: string, signer: AuditMemory, witness: AuditMemory }> {
  const { tenant } = service.user()
  const [signer, witness] = [new AuditMemory(), new AuditMemory()]
  await write(tenant, 6)
  await chainTenant(service.db, tenant)
  await sign(tenant, signer)
  await check(witness)
  return { tenant, signer, witness }
}

async function forge (tenant: string): Promise<void> {
  await owner.rows`UPDATE audit_events SET subject = 'someone else'
    WHERE tenant = ${tenant} AND id = (SELECT id FROM audit_chain WHERE tenant = ${tenant} AND position = 3)`
  await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
  await rechain(tenant)
}

t.test('it is enough that one replica is up that was up before: the others learn from it', async t => {
  const { tenant, witness } = await seen()
  await forge(tenant)
  t.same(await check(witness), [{ tenant, cause: 'checkpoint' }])
  const begun = new AuditMemory()
  t.same(await check(begun), [])
  t.match(await sign(tenant, begun), { cause: 'changed' })
  t.match(await sign(tenant, new AuditMemory()), { cause: 'changed' })
  t.same(await check(witness), [], 'and it is told once')
})

t.test('what another one has signed of a forgery in the meantime, with as many events or with more, does not win', async t => {
  for (const more of [0, 2]) {
    const { tenant, witness } = await seen()
    await forge(tenant)
    if (more > 0) await write(tenant, more)
    await chainTenant(service.db, tenant)
    const deceived = new AuditMemory()
    t.match(await sign(tenant, deceived), { count: 6 + more }, 'it knows no better')
    t.match(await check(witness), [{ tenant, cause: more === 0 ? 'checkpoint' : 'changed' }])
    t.equal(witness.newest(tenant)?.count, 6, 'it goes on remembering what it did')
    const { broken } = await verifyTenant(service.db, tenant, service.secrets.signing, witness.newest(tenant))
    t.match(broken, { cause: 'changed' })
    const verify = async (): Promise<unknown> => (await verifyTenant(service.db, tenant, service.secrets.signing)).broken
    t.match(await verify(), { cause: 'changed' }, 'for everyone')
    t.match(await sign(tenant, deceived), { cause: more === 0 ? 'checkpoint' : 'changed' }, 'and it signs no more')
    t.match(await verify(), { cause: 'changed' }, 'nor puts back what it has signed')
  }
})

t.test('a checkpoint that was deleted is put back and told of; the chain is whole, and is signed again', async t => {
  const { tenant, signer } = await seen()
  await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
  await write(tenant, 1)
  await chainTenant(service.db, tenant)
  t.match(await sign(tenant, signer), { position: 6, cause: 'checkpoint' })
  t.match(await sign(tenant, signer), { count: 7, previous: { count: 6 } })
  t.same(await verifyTenant(service.db, tenant, service.secrets.signing), { events: 7, broken: null })
})

t.test('a checkpoint that no replica has signed, in the place of the one that is remembered or behind it, is reported', async t => {
  for (const count of [6, 9]) {
    const { tenant, witness } = await seen()
    await owner
      .rows`INSERT INTO audit_checkpoints SELECT tenant, ${count}::bigint, until, now(), kept_since, kid, 'x.y.z'
        FROM audit_checkpoints WHERE tenant = ${tenant}
      ON CONFLICT (tenant, count) DO UPDATE SET jws = excluded.jws, at = excluded.at`
    t.same(await check(witness), [{ tenant, cause: 'checkpoint' }])
    t.same((await check(new AuditMemory())).filter(found => found.tenant === tenant), count === 6 ? [] : [{ tenant, cause: 'checkpoint' }])
  }
})

t.test('what another replica signs on top of what is remembered needs no look at the events; where more lies between, they are ' +
  'followed', async t => {
  const { tenant, signer, witness } = await seen()
  const { reports } = service.db
  t.teardown(() => { service.db.reports = reports })
  for (const signings of [1, 2]) {
    for (let n = 0; n < signings; n++) {
      await write(tenant, 2)
      await chainTenant(service.db, tenant)
      await sign(tenant, signer)
    }
    let walked = false
    service.db.reports = async (strings, ...values) => {
      if (strings.join().includes('FROM audit_chain')) walked = true
      return await reports(strings, ...values)
    }
    t.same(await check(witness), [])
    service.db.reports = reports
    t.equal(walked, signings > 1)
    t.match(witness.newest(tenant), signer.newest(tenant))
  }
})

t.test('many tenants are remembered, in pages, while there is room; what has none is not signed, and told of', async t => {
  const memory = new AuditMemory()
  await asOwner(url, ["INSERT INTO audit_heads SELECT 'many-' || n, 1, sha256('') FROM generate_series(1, 1100) AS n"])
  t.teardown(() => asOwner(url, ["DELETE FROM audit_heads WHERE tenant LIKE 'many-%'"]))
  const { tenant, signer } = await seen()
  const known = signer.newest(tenant)
  if (known === undefined) throw new Error('it was signed')
  for (let n = 0; n < 1100; n++) memory.keep({ ...known, tenant: `known-${n}` })
  await asOwner(url, [`INSERT INTO audit_checkpoints SELECT 'known-' || n, count, until, at, kept_since, kid, jws
    FROM audit_checkpoints, generate_series(0, 1098) AS n WHERE tenant = '${tenant}'`])
  t.teardown(() => asOwner(url, ["DELETE FROM audit_checkpoints WHERE tenant LIKE 'known-%'"]))
  t.same(
    (await check(memory)).filter(({ tenant }) => tenant.startsWith('known-')),
    [{ tenant: 'known-1099', cause: 'checkpoint' }],
    'the one that is gone'
  )
  t.match(memory.newest(tenant), { count: 6 }, 'and the one that is new')

  const full = startReplica(t, { memory: new AuditMemory(0) })
  await owner.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant}`
  await until(() => errorsOf(full, tenant).length > 0)
  t.match(errorsOf(full, tenant)[0], { text: NOT_SIGNED, fields: { err: /no room/ } })
  t.same(signedOf(full, tenant), [])
})

/** As if what happened had happened so many seconds earlier. */
async function age (tenant: string, seconds: number): Promise<void> {
  await owner.rows`UPDATE audit_events e SET at = (e.at AT TIME ZONE 'UTC' - ${seconds}::int * interval '1 second') AT TIME ZONE 'UTC'
    FROM audit_pending p WHERE p.tenant = ${tenant} AND e.tenant = p.tenant AND e.id = p.id`
  await owner
    .rows`UPDATE audit_pending SET at = (at AT TIME ZONE 'UTC' - ${seconds}::int * interval '1 second') AT TIME ZONE 'UTC'
      WHERE tenant = ${tenant}`
}

t.test('a link that the service\'s login puts at the next place stops the chain: told within a minute, and it is not ok', async t => {
  const replica = startReplica(t)
  const { tenant, verify } = await signed(replica)
  t.equal(await replica.waiting(), 0)
  await service.db
    .rows`INSERT INTO audit_chain (tenant, position, at, id, event, hash) VALUES (${tenant}, 11, now(), gen_random_uuid(), '', '')`
  await write(tenant, 1)
  await until(async () => await replica.waiting() > 0)
  t.match((await verify()).body, { ok: true })
  t.same(errorsOf(replica, tenant), [], 'a moment is nothing to tell')
  await age(tenant, 45)
  await until(() => errorsOf(replica, tenant).length > 0)
  const { body } = await verify()
  t.match(body, { ok: false, events: 11, waitingSince: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/ })
  t.notOk('brokenAt' in body)
  t.match(errorsOf(replica, tenant), [{ fields: { tenant, waitingSince: body.waitingSince }, text: 'the audit is not chained any more' }])
  t.ok(await replica.waiting() >= 45)
  await sleep(300)
  t.equal(errorsOf(replica, tenant).length, 1, 'and not with each look')

  await owner.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position = 11`
  await until(async () => await replica.waiting() === 0)
  t.match((await verify()).body, { ok: true, events: 11 })
})

t.test('where the database does not answer, the log says what could not be done', async t => {
  const replica = startReplica(t, { db: { ...service.db, reports: () => Promise.reject(new Error('gone')) } })
  for (const text of ['chaining the audit failed', 'looking for attacks failed']) {
    await until(() => replica.lines.some(line => line.level === 'warn' && line.text === text && line.fields.err.message === 'gone'))
  }
  t.ok(replica.lines.every(({ level }) => level === 'warn'))
})

t.test('so does a lease that is not given back, and each replica reports it', async t => {
  await service.db.rows`INSERT INTO leases (name, holder, until) VALUES ('audit', gen_random_uuid(), 'infinity')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until`
  const { tenant } = service.user()
  await write(tenant, 1)
  await age(tenant, 60)
  const replicas = [startReplica(t), startReplica(t)]
  for (const replica of replicas) {
    await until(() => errorsOf(replica, tenant).length > 0)
    t.match(errorsOf(replica, tenant), [{ fields: { tenant }, text: 'the audit is not chained any more' }])
  }
  await owner.rows`UPDATE leases SET until = now() WHERE name = 'audit'`
  for (const replica of replicas) await until(async () => await replica.waiting() === 0)
})

t.test('events that are entered for the chain a second time do not wait', async t => {
  const { tenant } = await seen()
  await service.db.rows`INSERT INTO audit_pending SELECT tenant, at, id FROM audit_chain WHERE tenant = ${tenant}`
  await owner.rows`UPDATE audit_events SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await owner.rows`UPDATE audit_chain SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await owner.rows`UPDATE audit_pending SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  const replica = startReplica(t)
  await until(() => replica.memory.newest(tenant) !== undefined)
  t.equal(await replica.waiting(), 0)
  t.notOk('waitingSince' in await verifyTenant(service.db, tenant, service.secrets.signing))
})
