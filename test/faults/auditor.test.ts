// The auditor itself: each invariant, broken once, is one that it finds. What holds all the way it finds nothing in.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { AuditMemory } from '../../src/audit/memory.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { signTenant } from '../../src/audit/checkpoint.sql.ts'
import { execute, ownDatabase } from '../helpers/database.ts'
import type { Received } from '../helpers/webhook-endpoint.ts'
import { startService } from '../helpers/service.ts'
import { audit, type Evidence } from './auditor.ts'
import type { Asked } from './driver.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { db, config, secrets } = service

const asked: Asked[] = []
const accepted: Received[] = []
const ends: string[] = []
const evidence: Evidence = { server: { url }, secrets, driver: { asked }, endpoint: { accepted }, replicas: [{ ends }] }

/** A request that was answered so, as the driver notes it; and the event that it left. */
async function ask (kind: Asked['kind'], status: number, more: Partial<Asked> = {}, action?: string): Promise<Asked> {
  const none = { key: undefined, code: undefined, deadSince: undefined }
  const one = { id: randomUUID(), kind, status, ...none, sentAt: 5000, answeredAt: 5010, isUnknown: false, ...more }
  asked.push(one)
  if (action !== undefined) await write(action, one.id)
  return one
}
const write = (action: string, requestId: string): Promise<unknown> =>
  db.rows`SELECT audit('acme', 'user-1', ${action}, 'success', 'totp', ${{ requestId }}::jsonb, '{}')::text`
const idOf = async (requestId: string): Promise<string> =>
  (await db.rows<{ id: string }>`SELECT id::text FROM audit_events WHERE request_id = ${requestId}`)[0]?.id as string

/** What of it that is taken back afterwards makes the auditor say. */
async function found (undo: () => unknown): Promise<string[]> {
  const problems = await audit(evidence)
  await undo()
  return problems
}
const forget = (one: Asked): void => { asked.splice(asked.indexOf(one), 1) }

const code = await ask('code', 200, { key: 'user-1 7' }, 'totp.accepted')
await ask('wrong', 422, {}, 'totp.refused')
await ask('code', 0, { key: 'user-1 8', isUnknown: true }, 'totp.accepted')
await ask('ended', 200, { deadSince: 3500 })
await ask('ended', 503, { deadSince: 1000 })
const told = [await ask('signout', 204, {}, 'user.signed_out'), await ask('codes', 201, {}, 'recovery.regenerated')]
for (const { id } of told) accepted.push({ id: await idOf(id) } as Received)
await chainTenant(db, 'acme')
await signTenant(db, 'acme', { keys: config.MFA_SIGNING_KEYS, retentionDays: 400, memory: new AuditMemory() })

t.test('where all holds it finds nothing', async t => {
  t.same(await audit(evidence), [])
})

t.test('an answer without its event, an event without its answer, and 500', async t => {
  const one = await ask('code', 200)
  t.same(await found(() => { forget(one) }), ['code answered 200  left 0 × totp.accepted'])
  const refused = asked.find(({ kind }) => kind === 'wrong') as Asked
  refused.status = 503
  t.same(await found(() => { refused.status = 422 }), ['wrong answered 503  left 1 × totp.refused'])
  const broken = await ask('status', 500)
  t.same(await found(() => { forget(broken) }), ['status was answered 500'])
})

t.test('a code that was accepted twice, by the answers or by the audit', async t => {
  const again = await ask('authorize', 200, { key: code.key })
  t.same(await found(() => { forget(again) }), ['the code user-1 7 was accepted 2 times'])
  const unanswered = asked.find(({ key }) => key === 'user-1 8') as Asked
  unanswered.key = code.key
  t.same(await found(() => { unanswered.key = 'user-1 8' }), ['the code user-1 7 was accepted 2 times'])
})

t.test('an ended token that passes when it must be dead', async t => {
  const one = await ask('ended', 200, { deadSince: 2900 })
  t.same(await found(() => { forget(one) }), ['an ended token passed after 2100 ms'])
})

t.test('webhook events that were not delivered, and that came out of order', async t => {
  accepted.reverse()
  t.same(await found(() => accepted.reverse()), ['webhook events of acme user-1 came out of order'])
  const [first] = accepted.splice(0, 1) as [Received]
  t.same(await found(() => accepted.unshift(first)), ['user.signed_out was not delivered'])
  accepted.push(first)
  t.same(await found(() => accepted.pop()), [], 'what is repeated is told in order all the same')
})

t.test('a replica that ended by itself', async t => {
  ends.push('a ended by itself: 1')
  t.same(await found(() => ends.pop()), ['a ended by itself: 1'])
})

t.test('an event that is changed, lost, added, or not chained', async t => {
  const change = async (details: string): Promise<void> => {
    await execute(url, `UPDATE audit_events SET details = '${details}' WHERE action = 'totp.refused'`)
  }
  await change('{"x": 1}')
  t.match(await found(() => change('{}')), [/^the chain of acme is broken: .*changed/])
  t.same(await audit(evidence), [])
  await execute(url, "INSERT INTO audit_events (tenant, at, action, outcome) VALUES ('acme', now(), 'x', 'success')")
  t.match(await found(() => execute(url, "DELETE FROM audit_events WHERE action = 'x'")), [/^the chain of acme is broken: .*added/])
  await execute(url, `
    WITH e AS (
      INSERT INTO audit_events (tenant, at, action, outcome) VALUES ('acme', now() - interval '1 minute', 'x', 'success') RETURNING *)
    INSERT INTO audit_pending SELECT tenant, at, id FROM e`)
  t.match(await found(() => execute(url, "DELETE FROM audit_pending; DELETE FROM audit_events WHERE action = 'x'")),
    [/^events of acme wait for their chain since/])
  await execute(url, "DELETE FROM audit_events WHERE action = 'totp.refused'")
  t.match(await audit(evidence), ['wrong answered 422  left 0 × totp.refused', /^the chain of acme is broken: .*missing/])
})
