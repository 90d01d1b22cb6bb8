// An attacker with every right on the database changes the log: whatever they do, the first event of which it does not hold
// any more is named.
import { generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { parseSigningKeys, type SigningKey } from '../../src/config/signing-keys.ts'
import { AuditMemory } from '../../src/audit/memory.ts'
import { openCheckpoint, signCheckpoint } from '../../src/audit/checkpoint.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { signAnew, signTenant } from '../../src/audit/checkpoint.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import type { Break } from '../../src/audit/walk.sql.ts'
import { signingKey } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { db, config } = service
const keys = config.MFA_SIGNING_KEYS
/** As a replica has it that has just begun: it knows what the database says. */
const signing = { keys, retentionDays: 400, get memory () { return new AuditMemory() } }

const verify = (tenant: string, ring = keys): ReturnType<typeof verifyTenant> => verifyTenant(db, tenant, ring)

/** Events of a tenant as the service writes them. */
const write = (tenant: string, count: number): Promise<unknown> =>
  db.reports`SELECT count(audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp',
    '{"actor": "someone", "address": "::1", "requestId": "r"}', jsonb_build_object('n', n, 'text', E'é\u2028"\\\\'))::text)
    FROM generate_series(1, ${count}::int) AS n`

async function sign (tenant: string): Promise<void> {
  const result = await signTenant(db, tenant, signing)
  if ('cause' in result) throw new Error(JSON.stringify(result))
}

interface Link { position: number, id: string, at: Date }
const links = (tenant: string): Promise<Link[]> =>
  db.rows`SELECT position::int, id::text, at FROM audit_chain WHERE tenant = ${tenant} ORDER BY position`

/** A tenant with a chain of ten events, signed at the sixth and, unless `isOpen`, at its end. */
async function chained ({ isOpen = false } = {}): Promise<{ tenant: string, at: (position: number) => Link }> {
  const { tenant } = service.user()
  await write(tenant, 6)
  await chainTenant(db, tenant)
  await sign(tenant)
  // Kept as if of the day before: of a day the newest is kept.
  await db.rows`UPDATE audit_checkpoints SET at = (at AT TIME ZONE 'UTC' - interval '24 hours') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await write(tenant, 4)
  await chainTenant(db, tenant)
  if (!isOpen) await sign(tenant)
  const all = await links(tenant)
  return { tenant, at: position => all[position - 1] as Link }
}

/** The log does not hold, for this cause, first at this event. */
async function isBroken (t: Test, tenant: string, expected: Partial<Break>): Promise<void> {
  const { broken } = await verify(tenant)
  t.match(broken, expected)
}

t.test('an untouched log verifies: chained, signed, and what has come since', async t => {
  t.same(await verify(service.user().tenant), { events: 0, broken: null })
  const { tenant } = await chained()
  t.same(await verify(tenant), { events: 10, broken: null })
  await write(tenant, 3)
  t.same(await verify(tenant), { events: 13, broken: null })
  t.equal(await chainTenant(db, tenant), 3)
  t.same(await verify(tenant), { events: 13, broken: null })
  t.equal(await chainTenant(db, tenant), 0)
})

t.test('each column of an event is in its digest', async t => {
  for (
    const [column, value] of [
      ['actor', "'x'"],
      ['actor', 'NULL'],
      ['subject', "'x'"],
      ['action', "'totp.refused'"],
      ['outcome', "'failure'"],
      ['factor_kind', "'recovery'"],
      ['address', "'::2'"],
      ['request_id', "'x'"],
      ['details', '\'{"n": 3.0, "text": "é\\u2028\\"\\\\"}\'']
    ] as const
  ) {
    const { tenant, at } = await chained()
    const { id } = at(3)
    await asOwner(`UPDATE audit_events SET ${column} = ${value} WHERE tenant = '${tenant}' AND id = '${id}'`)
    await isBroken(t, tenant, { position: 3, id, cause: 'changed' })
  }
})

t.test('an event that is moved in time or to another tenant', async t => {
  const { tenant, at } = await chained()
  await db
    .rows`UPDATE audit_events SET at = (at AT TIME ZONE 'UTC' - interval '1 microsecond') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}
      AND id = ${
    at(4).id
  }::uuid`
  await isBroken(t, tenant, { id: at(4).id })
  const other = await chained()
  await db
    .rows`INSERT INTO audit_events SELECT ${tenant}, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details
    FROM audit_events WHERE tenant = ${other.tenant} AND id = ${other.at(2).id}::uuid`
  await db.rows`DELETE FROM audit_events WHERE tenant = ${other.tenant} AND id = ${other.at(2).id}::uuid`
  await isBroken(t, other.tenant, { position: 2, id: other.at(2).id, cause: 'missing' })
})

t.test('an event that is deleted, with its link or without', async t => {
  const { tenant, at } = await chained()
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant} AND id = ${at(7).id}::uuid`
  await isBroken(t, tenant, { position: 7, id: at(7).id, cause: 'missing' })
  t.equal((await verify(tenant)).events, 9)
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position = 7`
  await isBroken(t, tenant, { position: 7, cause: 'missing' })
  await db.rows`UPDATE audit_chain SET position = position - 1 WHERE tenant = ${tenant} AND position > 7`
  await db.rows`UPDATE audit_heads SET count = 9 WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 7, id: at(8).id, cause: 'changed' })
})

t.test('an event that is deleted, and whose link says that it was older than the retention', async t => {
  const { tenant, at } = await chained()
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant} AND id = ${at(7).id}::uuid`
  await db.rows`UPDATE audit_chain SET at = '2000-01-01' WHERE tenant = ${tenant} AND position = 7`
  await isBroken(t, tenant, { position: 7, id: at(7).id, cause: 'changed' })
})

t.test('an event that is changed, with its link, before one that is passed off as gone', async t => {
  const { tenant, at } = await chained()
  const [{ kept }] = await db.rows<
    { kept: unknown }
  >`SELECT jsonb_agg(to_jsonb(c)) AS kept FROM audit_chain c WHERE tenant = ${tenant} AND position > 8` as [{ kept: unknown }]
  const { id, at: time } = at(8)
  await db.rows`UPDATE audit_events SET actor = 'someone else' WHERE tenant = ${tenant} AND id = ${id}::uuid`
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant} AND id = ${at(9).id}::uuid`
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position > 7`
  await db
    .rows`UPDATE audit_heads h SET count = 7, hash = c.hash FROM audit_chain c WHERE h.tenant = ${tenant} AND c.tenant = h.tenant
      AND c.position = 7`
  await db.rows`INSERT INTO audit_pending SELECT tenant, at, id FROM audit_events WHERE tenant = ${tenant} AND id = ${id}::uuid`
  t.equal(await chainTenant(db, tenant), 1)
  await db.rows`INSERT INTO audit_chain SELECT * FROM jsonb_populate_recordset(NULL::audit_chain, ${JSON.stringify(kept)}::jsonb)`
  await db
    .rows`UPDATE audit_heads h SET count = 10, hash = c.hash FROM audit_chain c WHERE h.tenant = ${tenant} AND c.tenant = h.tenant
      AND c.position = 10`
  await db.rows`UPDATE audit_chain SET at = '2000-01-01' WHERE tenant = ${tenant} AND position = 9`
  t.same((await links(tenant)).slice(7, 9).map(({ id, at }) => [id, at]), [[id, time], [at(9).id, new Date('2000-01-01')]])
  await isBroken(t, tenant, { position: 9, cause: 'changed' })
})

t.test('an event that is deleted before it is chained', async t => {
  const { tenant } = await chained()
  await write(tenant, 1)
  const [lost] = await db.rows<
    { id: string }
  >`DELETE FROM audit_events e USING audit_pending p WHERE e.tenant = ${tenant} AND p.tenant = e.tenant AND p.id = e.id
    RETURNING e.id::text`
  await isBroken(t, tenant, { ...lost, cause: 'missing' })
  await chainTenant(db, tenant)
  await isBroken(t, tenant, { ...lost, cause: 'missing' })
})

t.test('an event that is put in: between others, before all, after all, by a copy', async t => {
  for (const at of ['2026-01-01T00:00:00Z', 'now']) {
    const { tenant } = await chained()
    const [added] = await db.rows<
      { id: string }
    >`INSERT INTO audit_events (tenant, at, action, outcome) VALUES (${tenant}, ${at}::timestamptz, 'totp.accepted', 'success')
      RETURNING id::text`
    await isBroken(t, tenant, { ...added, position: null, cause: 'added' })
    await chainTenant(db, tenant)
    await isBroken(t, tenant, { ...added, cause: 'added' })
  }
  const { tenant, at } = await chained()
  await db
    .rows`INSERT INTO audit_events SELECT (jsonb_populate_record(e, '{"id": "00000000-0000-4000-8000-000000000000"}')).*
      FROM audit_events e WHERE tenant = ${tenant} AND id = ${
    at(5).id
  }::uuid`
  await isBroken(t, tenant, { id: '00000000-0000-4000-8000-000000000000', cause: 'added' })
})

t.test('an event that is put in with a link of its own, beyond the head or in the chain', async t => {
  const { tenant } = await chained()
  const [added] = await db.rows<
    { id: string }
  >`INSERT INTO audit_events (tenant, action, outcome) VALUES (${tenant}, 'totp.accepted', 'success') RETURNING id::text`
  await db
    .rows`INSERT INTO audit_chain (tenant, position, at, id, event, hash) SELECT tenant, 11, at, id, sha256(''), sha256('')
      FROM audit_events WHERE tenant = ${tenant} AND id = ${added?.id}::uuid`
  await isBroken(t, tenant, { ...added, cause: 'added' })
  await db.rows`UPDATE audit_heads SET count = 11, hash = sha256('') WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 11, ...added, cause: 'changed' })
})

t.test('events that change places', async t => {
  const { tenant, at } = await chained()
  await db.rows`UPDATE audit_events e SET at = CASE WHEN e.id = a.id THEN b.at ELSE a.at END FROM audit_events a, audit_events b
    WHERE e.tenant = ${tenant} AND a.tenant = e.tenant AND b.tenant = e.tenant AND a.id = ${at(3).id}::uuid AND b.id = ${
    at(8).id
  }::uuid AND e.id IN (a.id, b.id)`
  const { broken } = await verify(tenant)
  t.equal(broken?.at?.slice(0, 23), at(3).at.toISOString().slice(0, 23))

  const other = await chained()
  await swapLinks(other.tenant, 4, 5)
  await isBroken(t, other.tenant, { position: 4, id: other.at(5).id, cause: 'changed' })
})

t.test('a chain that is made anew, with the change in it, does not fit what was signed', async t => {
  const { tenant, at } = await chained()
  await db.rows`UPDATE audit_events SET action = 'totp.refused' WHERE tenant = ${tenant} AND id = ${at(2).id}::uuid`
  await rechain(tenant)
  await isBroken(t, tenant, { position: 6, id: at(6).id, cause: 'changed' })
  t.match(await signTenant(db, tenant, signing), { position: 6, cause: 'changed' }, 'and is not signed')
})

t.test('what has come since it was signed is signed only if it holds', async t => {
  const { tenant, at } = await chained({ isOpen: true })
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant} AND id = ${at(8).id}::uuid`
  t.match(await signTenant(db, tenant, signing), { position: 8, id: at(8).id, cause: 'missing' })
})

t.test('a head that is cut off', async t => {
  for (const isAnchored of [false, true]) {
    const { tenant } = await chained()
    const cut = isAnchored ? 6 : 4
    await db
      .rows`DELETE FROM audit_events e USING audit_chain c WHERE e.tenant = ${tenant} AND c.tenant = e.tenant AND c.at = e.at
        AND c.id = e.id AND c.position <= ${cut}::int`
    await isBroken(t, tenant, { position: 1, cause: 'missing' })
    await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position <= ${cut}::int`
    await isBroken(t, tenant, { position: 1, id: null, cause: 'missing' })
    await db.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant} AND count < ${cut}::int`
    await isBroken(t, tenant, { position: 1, cause: 'missing' })
    await db.rows`UPDATE audit_checkpoints SET kept_since = now() WHERE tenant = ${tenant}`
    await isBroken(t, tenant, { position: 1, cause: 'missing' })
  }
})

t.test('a tail that is cut off, with its links, its head and all', async t => {
  const { tenant, at } = await chained()
  await db
    .rows`DELETE FROM audit_events e USING audit_chain c WHERE e.tenant = ${tenant} AND c.tenant = e.tenant AND c.at = e.at
      AND c.id = e.id AND c.position > 8`
  await isBroken(t, tenant, { position: 9, id: at(9).id, cause: 'missing' })
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position > 8`
  await isBroken(t, tenant, { position: 9, cause: 'missing' })
  await db
    .rows`UPDATE audit_heads h SET count = 8, hash = c.hash FROM audit_chain c WHERE h.tenant = ${tenant} AND c.tenant = h.tenant
      AND c.position = 8`
  await isBroken(t, tenant, { position: 9, cause: 'missing' })
  t.match(await signTenant(db, tenant, signing), { cause: 'changed' }, 'and is not signed')
  await write(tenant, 2)
  await chainTenant(db, tenant)
  await isBroken(t, tenant, { position: 10, cause: 'changed' })
  t.match(await signTenant(db, tenant, signing), { cause: 'changed' }, 'nor with others in its place')
})

t.test('a tail that is cut off with its checkpoints shows against one that was kept elsewhere', async t => {
  const { tenant } = await chained()
  const [kept] = await db.rows<
    { count: number, digest: string }
  >`SELECT count::float8, encode(hash, 'hex') AS digest FROM audit_heads WHERE tenant = ${tenant}`
  t.same(await verifyTenant(db, tenant, keys, kept), { events: 10, broken: null })
  await db
    .rows`DELETE FROM audit_events e USING audit_chain c WHERE e.tenant = ${tenant} AND c.tenant = e.tenant AND c.at = e.at
      AND c.id = e.id AND c.position > 8`
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position > 8`
  await db.rows`DELETE FROM audit_checkpoints WHERE tenant = ${tenant} AND count > 8`
  await db
    .rows`UPDATE audit_heads h SET count = 8, hash = c.hash FROM audit_chain c WHERE h.tenant = ${tenant} AND c.tenant = h.tenant
      AND c.position = 8`
  t.equal((await verify(tenant)).broken, null)
  t.match((await verifyTenant(db, tenant, keys, kept)).broken, { position: 9, cause: 'missing' })
  t.match(
    (await verifyTenant(db, tenant, keys, { count: 0, digest: 'f'.repeat(64) })).broken,
    { position: 0, cause: 'changed' },
    'one of another chain'
  )
})

t.test('all of it, but for what was signed; and a head alone', async t => {
  const { tenant } = await chained()
  await db.rows`UPDATE audit_heads SET hash = sha256('') WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 10, cause: 'changed' })
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant}`
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 1, cause: 'missing' })
  await db.rows`DELETE FROM audit_heads WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 1, cause: 'missing' })
  t.match(await signTenant(db, tenant, signing), { position: 1, cause: 'missing' }, 'and is not signed')
})

t.test('a head that says fewer events than were signed', async t => {
  const { tenant, at } = await chained()
  await db.rows`UPDATE audit_heads SET count = 8 WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { id: at(9).id, cause: 'added' })
  t.match(await signTenant(db, tenant, signing), { cause: 'changed' }, 'and is not signed')
})

t.test('of several changes the one that is known by its time comes first, and then the one of the earlier look', async t => {
  const { tenant, at } = await chained()
  await db.rows`UPDATE audit_checkpoints SET jws = 'x.y.z' WHERE tenant = ${tenant} AND count = 10`
  await db.rows`UPDATE audit_heads SET count = 12 WHERE tenant = ${tenant}`
  await isBroken(t, tenant, { position: 10, cause: 'checkpoint' })
  await db.rows`UPDATE audit_events SET actor = NULL WHERE tenant = ${tenant} AND id = ${at(7).id}::uuid`
  await isBroken(t, tenant, { position: 7, id: at(7).id, cause: 'changed' })
})

t.test('a retention that was made longer: what an earlier checkpoint had let go stays gone, and the rest verifies', async t => {
  const { tenant } = await chained()
  const result = await signTenant(db, tenant, { ...signing, retentionDays: 800 })
  t.notOk('cause' in result)
  await write(tenant, 1)
  t.same(await verify(tenant), { events: 11, broken: null })
})

t.test('a checkpoint that no replica has signed, or for another tenant or place', async t => {
  const strange = parseSigningKeys('KEYS', JSON.stringify({ keys: [signingKey(keys[0]?.kid)] })) as [SigningKey]
  const { tenant } = await chained()
  const other = await chained()
  const [row] = await db.rows<{ jws: string }>`SELECT jws FROM audit_checkpoints WHERE tenant = ${tenant} AND count = 10`
  const checkpoint = await openCheckpoint(row?.jws as string, keys)
  if (checkpoint === null) throw new Error('it is ours')
  const [header, , signature] = (row?.jws as string).split('.')
  for (const jws of [
    await signCheckpoint(checkpoint, strange[0]),
      `${header as string}.${Buffer.from(JSON.stringify({ ...checkpoint, count: 8 })).toString('base64url')}.${signature as string}`,
      '',
      'x.y.z',
      await signCheckpoint({ ...checkpoint, tenant: other.tenant }, keys[0] as SigningKey),
      await signCheckpoint({ ...checkpoint, count: 8 }, keys[0] as SigningKey)
  ]) {
    await db.rows`UPDATE audit_checkpoints SET jws = ${jws} WHERE tenant = ${tenant} AND count = 10`
    await isBroken(t, tenant, { position: 10, cause: 'checkpoint' })
    t.match(await signTenant(db, tenant, signing), { cause: 'checkpoint' }, 'and nothing is signed on top of it')
  }
  t.equal((await verify(other.tenant)).broken, null)
})

t.test('of a day the newest checkpoint is kept; a quiet tenant\'s is signed again', async t => {
  const { tenant } = await chained()
  const counts = async (): Promise<number[]> =>
    (await db.rows<{ count: number }>`SELECT count::int FROM audit_checkpoints WHERE tenant = ${tenant} ORDER BY count`).map(({ count }) =>
      count
    )
  t.same(await counts(), [6, 10])
  await write(tenant, 1)
  await chainTenant(db, tenant)
  await sign(tenant)
  t.same(await counts(), [6, 11])
  await sign(tenant)
  t.same(await counts(), [6, 11])
  t.equal((await verify(tenant)).broken, null)
})

t.test('when the signing key is rotated, what the old one has signed is signed anew while it is there', async t => {
  const { tenant } = await chained()
  const ed25519 = { ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), kid: `new-${tenant}` }
  const [next] = parseSigningKeys('KEYS', JSON.stringify({ keys: [ed25519] })) as [SigningKey]
  t.ok(await signAnew(db, [next, ...keys]) >= 2)
  t.equal((await verify(tenant, [next])).broken, null)
  t.match((await verify(tenant)).broken, { cause: 'checkpoint' })
  t.not(await signAnew(db, [...keys, next]), 0)
  t.equal(await signAnew(db, keys), 0)
  t.equal((await verify(tenant)).broken, null)
  await db.rows`UPDATE audit_checkpoints SET kid = 'old', jws = 'x.y.z' WHERE tenant = ${tenant} AND count = 6`
  t.equal(await signAnew(db, [...keys, { ...next, kid: 'old' }]), 1)
  t.match((await verify(tenant)).broken, { position: 6, cause: 'checkpoint' }, 'what does not open is not signed')
})

t.test('a log of more than a page', async t => {
  const { tenant } = service.user()
  await write(tenant, 5000)
  t.same(await verify(tenant), { events: 5000, broken: null })
  t.equal(await chainTenant(db, tenant), 5000)
  t.same(await verify(tenant), { events: 5000, broken: null })
  const [{ id } = { id: '' }] = (await links(tenant)).slice(2345)
  await db.rows`UPDATE audit_events SET actor = NULL WHERE tenant = ${tenant} AND id = ${id}::uuid`
  await isBroken(t, tenant, { position: 2346, id, cause: 'changed' })
})

async function asOwner (statement: string): Promise<void> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: config.DATABASE_URL })
  await client.connect()
  try { await client.query(statement) } finally { await client.end() }
}

const swapLinks = (tenant: string, one: number, other: number): Promise<void> => asOwner(`
  BEGIN;
  UPDATE audit_chain SET position = -position WHERE tenant = '${tenant}' AND position IN (${one}, ${other});
  UPDATE audit_chain SET position = ${one + other} + position WHERE tenant = '${tenant}' AND position < 0;
  COMMIT`)

/** As an attacker would who knows how the chain is made. */
async function rechain (tenant: string): Promise<void> {
  await db.rows`INSERT INTO audit_pending SELECT tenant, at, id FROM audit_chain WHERE tenant = ${tenant}`
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant}`
  await db.rows`DELETE FROM audit_heads WHERE tenant = ${tenant}`
  await chainTenant(db, tenant)
}
