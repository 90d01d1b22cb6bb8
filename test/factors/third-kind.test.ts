// A kind of factor is a folder and a line of the registry: one that tests alone have does all that factors do, over HTTP, and no shared
// call, no table and no function of the database knows of it.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { OPERATOR } from '../../src/audit/record.sql.ts'
import { resealAll } from '../../src/keys/reseal.sql.ts'
import { FACTOR_KINDS, FactorKinds } from '../../src/factors/registry.ts'
import { administrator } from '../helpers/administrator.ts'
import { chain, startChainer } from '../helpers/chainer.ts'
import { ownDatabase } from '../helpers/database.ts'
import { claimsOf, startService, type User } from '../helpers/service.ts'
import { codeOf, pad } from './third-kind/kind.ts'

const { url } = await ownDatabase(t)
// The line of the registry.
const kinds = new FactorKinds([...FACTOR_KINDS, pad])
const service = await startService(
  t,
  { DATABASE_URL: url, JWT_SESSION_CLAIM: 'sid', THROTTLE_LOCK: '5', THROTTLE_WAITS: '0,0,0,0,0' },
  undefined,
  undefined,
  undefined,
  kinds
)
const { clock, db } = service

interface Pad { factorId: string, secret: Buffer, recoveryCodes: string[] | null, token: string }

async function enroll (user: User, token = user.token(), label?: string): Promise<Pad> {
  const started = await user.call('POST', '/mfa/pads', label === undefined ? {} : { label }, token)
  t.equal(started.status, 201, started.text)
  const { factorId, challenge } = started.body
  const secret = randomBytes(16)
  const confirmed = await user.call('POST', '/mfa/pads/confirm', {
    factorId,
    key: secret.toString('hex'),
    answer: codeOf(secret, challenge)
  }, token)
  t.equal(confirmed.status, 200, confirmed.text)
  return { factorId, secret, recoveryCodes: confirmed.body.recoveryCodes, token: confirmed.body.token }
}
const prove = (secret: Buffer, number: number): object => ({ number, code: codeOf(secret, number) })
const wrong = (secret: Buffer): object => ({ number: 1000, code: codeOf(secret, 1001) })

t.test('it is set up, listed, proved and renamed, and a token says by what', async t => {
  const user = service.user({ sid: 's1' })
  const { factorId, secret, recoveryCodes, token } = await enroll(user, user.token(), 'My pad')
  t.equal(recoveryCodes?.length, 10, 'the first factor brings recovery codes')
  t.match(claimsOf(token), { acr: 'mfa', amr: ['pwd', 'pad', 'mfa'], fid: factorId })
  const factor = { id: factorId, kind: 'pad', label: 'My pad', status: 'active', lastUsedAt: null, nextCodeAt: null }
  t.match((await user.call('GET', '/mfa/status')).body, {
    enrolled: true,
    factors: [factor],
    decision: { action: 'allow', reason: 'mfa_verified' }
  })
  t.same((await user.call('POST', '/mfa/pads/challenge', {})).body, { number: 1 })
  const verified = await user.call('POST', '/mfa/pads/verify', prove(secret, 2))
  t.same((await user.call('POST', '/mfa/pads/challenge', {})).body, { number: 3 })
  t.match(verified, { status: 200, body: { factorId, acr: 'mfa', amr: ['pwd', 'pad', 'mfa'] } })
  t.match(
    (await user.call('POST', '/mfa/token', {})).body.amr,
    ['pwd', 'pad', 'mfa'],
    'and so does one that is renewed from what is remembered'
  )
  t.match((await user.call('POST', '/mfa/token', {}, verified.body.token)).body.amr, ['pwd', 'pad', 'mfa'])
  t.match(await user.call('PATCH', `/mfa/factors/${factorId}`, { label: 'Pad' }, token), {
    status: 200,
    body: { kind: 'pad', label: 'Pad' }
  })
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ id: factorId, kind: 'pad', label: 'Pad', lastUsedAt: /T/ }])
  t.match(
    await user.call('POST', '/mfa/verify', { code: '123456' }),
    { status: 409, body: { code: 'not_enrolled' } },
    'it is none of another kind'
  )
  t.same(
    claimsOf((await user.call('POST', '/mfa/pads/verify', prove(secret, 3), user.token({ amr: ['pwd', 'pad'], sid: 's2' }))).body.token)
      .amr,
    ['pwd', 'pad', 'mfa']
  )
})

t.test('what proved it once proves nothing again: of parallel proofs one counts, and no older one', async t => {
  const user = service.user()
  const { factorId, secret } = await enroll(user)
  const answers = await Promise.all(Array.from({ length: 20 }, () => user.call('POST', '/mfa/pads/verify', prove(secret, 5))))
  t.same(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(422)])
  t.match(await user.call('POST', '/mfa/pads/verify', prove(secret, 4)), { status: 422, body: { code: 'code_refused' } })
  t.match(await user.call('POST', '/mfa/pads/verify', { ...prove(secret, 6), factorId: '00000000-0000-4000-8000-000000000000' }), {
    status: 422
  })
  t.equal((await user.call('POST', '/mfa/pads/verify', { ...prove(secret, 6), factorId })).status, 200)
})

t.test('beside another kind: each has a pending one, its own throttle, and its place in the limit', async t => {
  const user = service.user()
  const totp = await user.enroll()
  t.equal((await user.call('POST', '/mfa/enroll', {}, totp.token)).status, 201)
  const { body: { factorId } } = await user.call('POST', '/mfa/pads', {}, totp.token)
  const { items } = (await user.call('GET', '/mfa/factors')).body
  t.same(items.map(({ kind, status }: any) => [kind, status]), [['totp', 'active'], ['totp', 'pending'], ['pad', 'pending']])
  t.equal((await user.call('DELETE', `/mfa/factors/${factorId as string}`, {})).status, 204)
  t.same((await user.call('GET', '/mfa/factors')).body.items.map(({ kind }: any) => kind), ['totp', 'totp'], 'the other one stays')
  const { secret, recoveryCodes } = await enroll(user, totp.token)
  t.equal(recoveryCodes, null, 'a further one brings none')
  for (let time = 0; time < 5; time++) t.equal((await user.call('POST', '/mfa/pads/verify', wrong(secret))).status, 422)
  t.match(await user.call('POST', '/mfa/pads/verify', prove(secret, 2)), { status: 403, body: { code: 'factor_locked' } })
  t.match((await user.call('GET', '/mfa/factors')).body.items.map(({ kind, status }: any) => [kind, status]).sort(), [['pad', 'locked'], [
    'totp',
    'active'
  ], ['totp', 'pending']])
  await user.verify(totp.secret)
  t.equal((await user.call('POST', '/mfa/recovery', { code: totp.recoveryCodes?.[0] })).status, 200)
  t.equal((await user.call('POST', '/mfa/pads/verify', prove(secret, 2))).status, 200, 'a recovery code ends the lock of every kind')
  t.equal((await user.events()).filter(({ action }) => action === 'pad.locked').length, 1)
})

t.test('five wrong answers destroy a pending one', async t => {
  const user = service.user()
  const { body: { factorId } } = await user.call('POST', '/mfa/pads')
  for (let time = 0; time < 5; time++) {
    t.equal((await user.call('POST', '/mfa/pads/confirm', { factorId, key: '0'.repeat(32), answer: '00000000' })).status, 422)
  }
  t.equal((await db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant}`).length, 0)
})

t.test('removed, it leaves the other kind; the last one takes the recovery codes along', async t => {
  const user = service.user()
  const { factorId, secret, token } = await enroll(user)
  const totp = await user.enroll(token)
  t.equal((await user.call('DELETE', `/mfa/factors/${totp.factorId}`, {}, token)).status, 200)
  const { body } = await user.call('POST', '/mfa/pads/verify', prove(secret, 2))
  t.equal((await user.call('DELETE', `/mfa/factors/${factorId}`, {}, body.token)).status, 204)
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false, factors: [], recoveryCodes: null })
  t.match((await user.events()).filter(({ action }) => action === 'factor.removed').map(({ factor_kind: kind }) => kind), ['totp', 'pad'])
})

t.test('an administrator sees, counts, unlocks and resets it, and the audit has all of it in its chain', async t => {
  const { admin, token, actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  const { factorId, secret } = await enroll(user)
  for (let time = 0; time < 5; time++) await user.call('POST', '/mfa/pads/verify', wrong(secret))
  const view = async (): Promise<any> => (await admin.call('GET', `/admin/users/${id}`, undefined, token)).body
  const open = { failures: 0, waitUntil: null, lockedAt: null }
  t.match(await view(), {
    enrolled: true,
    factors: [{ id: factorId, kind: 'pad', status: 'locked' }],
    locks: { totp: open, pad: { failures: 5, lockedAt: /T/ } }
  })
  t.match((await admin.call('GET', '/admin/users?status=locked', undefined, token)).body.items, [{ userId: id, locked: true }])
  t.match((await admin.call('GET', '/admin/stats', undefined, token)).body, { users: 2, enrolled: 2, locked: 1 })
  t.equal((await actOn(id, 'unlock')).status, 204)
  t.same((await view()).locks, { totp: open, pad: open })
  t.equal((await user.call('POST', '/mfa/pads/verify', prove(secret, 2))).status, 200)
  t.equal((await actOn(id, 'reset')).status, 204)
  t.match(await view(), { enrolled: false, factors: [] })
  t.match((await admin.call('GET', '/admin/stats', undefined, token)).body, { enrolled: 1, locked: 0 })

  await chain(await startChainer(t, url, admin.tenant))
  t.match((await admin.call('GET', '/admin/audit/verify', undefined, token)).body, { ok: true })
  const of = async (action: string): Promise<any[]> =>
    (await admin.call('GET', `/admin/audit?userId=${id}&action=${action}`, undefined, token)).body.items
  for (
    const [action, times] of [['factor.started', 1], ['factor.confirmed', 1], ['pad.refused', 5], ['pad.locked', 1], [
      'pad.accepted',
      1
    ]] as const
  ) {
    const events = await of(action)
    t.equal(events.length, times, action)
    t.ok(events.every(({ factorKind }) => factorKind === 'pad'), action)
  }
  t.match(await of('user.reset'), [{ details: { factors: [{ factorId, kind: 'pad', label: 'Pad 1' }] } }])
  const lines = await fetch(`${service.url}/admin/audit?userId=${id}`, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' }
  })
  t.ok((await lines.text()).includes('"action":"pad.accepted"'), 'and so has its export')
})

t.test('its secret is sealed for it alone, and goes on under another key', async t => {
  const user = service.user()
  const { factorId, secret } = await enroll(user)
  const other = Buffer.from(secret)
  const { sealing } = service.secrets
  const ring = { primary: 'k2', keys: new Map([['k2', randomBytes(32)], ...sealing.keys]) }
  await db.rows`UPDATE factors SET kind = 'totp', algorithm = 'SHA1', digits = 6, period = 30 WHERE tenant = ${user.tenant}`
  t.match(await user.call('POST', '/mfa/verify', { code: '123456' }), { status: 503 }, 'it is no secret of another kind')
  await db.rows`UPDATE factors SET kind = 'pad', algorithm = NULL, digits = NULL, period = NULL WHERE tenant = ${user.tenant}`
  for await (const { unreadable } of resealAll(db, ring, OPERATOR)) t.same(unreadable, [])
  t.same(await db.rows`SELECT key_id FROM factors WHERE tenant = ${user.tenant} AND id = ${factorId}::uuid`, [{ key_id: 'k2' }])
  ;(sealing.keys as Map<string, Buffer>).set('k2', ring.keys.get('k2') as Buffer)
  t.equal((await user.call('POST', '/mfa/pads/verify', prove(other, 2))).status, 200)
})

t.test('a kind that this release does not know lets no one pass', async t => {
  const user = service.user()
  await enroll(user)
  await db.rows`UPDATE factors SET kind = 'later' WHERE tenant = ${user.tenant}`
  t.match(await user.call('GET', '/mfa/status'), { status: 503 })
  t.match(await user.call('POST', '/mfa/pads/challenge', {}), { status: 409, body: { code: 'not_enrolled' } })
  t.match(await user.call('POST', '/mfa/verify', { code: clock.code('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP') }), { status: 409 })
})

t.test('the specification has its calls and its components', async t => {
  const { body } = await service.call('GET', '/openapi.json')
  t.ok(['/mfa/pads', '/mfa/pads/confirm', '/mfa/pads/verify', '/mfa/pads/challenge'].every(path => body.paths[path] !== undefined))
  t.same(body.components.schemas.Factor.properties.kind.enum, ['totp', 'passkey', 'pad'])
  t.ok(body.webhooks.webhookEvent.post.requestBody.content['application/json'].examples['pad.locked'].value.data.factorKind === 'pad')
})
