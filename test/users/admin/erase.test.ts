// A user is taken out of the database, and stays out: what was issued to them before opens nothing, and is no other user's.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import pg from 'pg'
import { keySet } from '../../../src/config/secrets.ts'
import { markKeys } from '../../../src/keys/keys.ts'
import { findKeyUses, proveKeys } from '../../../src/keys/keys.sql.ts'
import { findOtherPeppers } from '../../../src/keys/peppers.sql.ts'
import { readOtpauthCsv } from '../../../src/import/otpauth-csv.ts'
import { planImport } from '../../../src/import/plan.ts'
import { importUsers } from '../../../src/import/run.ts'
import { administrator } from '../../helpers/administrator.ts'
import { ownDatabase } from '../../helpers/database.ts'
import { type Answer, claimsOf, ISSUER, type User, startService } from '../../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url, JWT_SESSION_CLAIM: 'sid' })
const { clock, db } = service
const status = (user: User, token = user.token()): Promise<Answer> => user.call('GET', '/mfa/status', undefined, token)
/** Tokens carry whole seconds, and the database's clock may be half a minute ahead of the test's. */
const later = (): void => { clock.advance(60) }

/** Every table that has a word of `text`, but for the audit. */
async function mentions (text: string): Promise<string[]> {
  const tables = await db.rows<
    { name: string }
  >`SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'audit%'`
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const found = []
  for (const { name } of tables) {
    if ((await client.query(`SELECT 1 FROM ${name} AS t WHERE row_to_json(t)::text LIKE $1
      LIMIT 1`, [`%${text}%`])).rows.length > 0) { found.push(name) }
  }
  await client.end()
  return found
}

t.test('the user is gone with all their data, but for the audit, the revocation of their tokens, and a keyed hash', async t => {
  const { admin, token, actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled({ sid: 's1', email: 'carol@example.com', accounts: ['local'] })
  await user.call('POST', '/mfa/enroll', {}, await user.call('POST', '/mfa/token').then(({ body }) => body.token))
  await actOn(id, 'bypass')
  t.ok((await mentions(id)).length >= 8)
  const before = (await user.events()).length
  const answer = await actOn(id, 'erase')
  t.equal(answer.status, 204)
  t.equal(answer.text, '')
  t.same(await mentions(id), ['revocations'])
  for (const word of [user.sub, 'carol@example.com']) t.same(await mentions(word), [])
  t.match(await db.rows`SELECT hash, pepper_id, epoch, disabled_at FROM tombstones WHERE tenant = ${user.tenant}`, [{
    hash: /^[0-9a-f]{64}$/,
    pepper_id: 'p1',
    epoch: 2,
    disabled_at: null
  }])
  t.match(await db.rows`SELECT epoch FROM revocations WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid AND issuer = ''`, [{
    epoch: 2
  }])
  const events = await user.events()
  t.equal(events.length, before + 1)
  t.match(events.at(-1), {
    action: 'user.erased',
    actor: (await admin.row()).id,
    subject: id,
    outcome: 'success',
    details: { reason: 'Ticket 4711' }
  })
  t.equal((await admin.call('GET', `/admin/users/${id}`, undefined, token)).status, 404)
  t.equal((await actOn(id, 'erase')).status, 404)
})

t.test('tokens of before are 401 everywhere, for a gateway too; a later login is a new user', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id, token, secret, recoveryCodes } = await enrolled({ sid: 's1' })
  const first = user.token()
  const { epoch } = await user.row()
  await actOn(id, 'erase')
  for (const bearer of [first, token]) {
    for (
      const [method, path, body] of [
        ['GET', '/mfa/status', undefined],
        ['POST', '/mfa/enroll', {}],
        ['POST', '/mfa/verify', { code: clock.code(secret) }],
        ['POST', '/mfa/recovery', { code: recoveryCodes?.[0] }],
        ['GET', '/mfa/authorize', undefined]
      ] as const
    ) {
      if (path === '/mfa/authorize' && bearer === token) await sleep(600) // what a replica remembers of revocations
      t.match(await user.call(method, path, body, bearer), { status: 401, body: { code: 'invalid_token' } }, path)
    }
  }
  t.equal((await db.rows`SELECT 1 FROM users WHERE tenant = ${user.tenant} AND subject = ${user.sub}`).length, 0, 'no user was recorded')

  later()
  const fresh = await status(user)
  t.equal(fresh.status, 200)
  t.not(fresh.body.userId, id)
  t.match(fresh.body, { enrolled: false, recoveryCodes: null })
  const anew = await user.row()
  t.ok(anew.epoch > epoch + 1, 'no token of before is of this epoch')
  for (const bearer of [first, token]) t.equal((await status(user, bearer)).status, 401, 'not as the new one either')
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422)
  const mine = await user.enroll()
  t.equal(claimsOf(mine.token).uid, fresh.body.userId)

  // Once more: what is kept is of the last time.
  t.equal((await actOn(fresh.body.userId, 'erase')).status, 204)
  t.equal((await status(user, mine.token)).status, 401)
  t.equal((await status(user)).status, 401)
  t.equal((await db.rows`SELECT 1 FROM tombstones WHERE tenant = ${user.tenant}`).length, 1)
  later()
  t.equal((await status(user)).status, 200)
  t.ok((await user.row()).epoch > anew.epoch + 1)
})

t.test('a token that does not say when it was issued may have been issued before, for as long as one may live', async t => {
  const { actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  await actOn(id, 'erase')
  later()
  const undated = (): string => user.token({ iat: undefined, auth_time: clock.seconds, exp: clock.seconds + 900 })
  t.equal((await status(user, undated())).status, 401)
  clock.advance(86_400)
  t.equal((await status(user, undated())).status, 200)
})

t.test('the same subject of another tenant or namespace is another user', async t => {
  const { actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  const other = service.user({ sub: user.sub })
  await status(other)
  await actOn(id, 'erase')
  t.equal((await status(other)).status, 200)
  t.equal((await status(user)).status, 401)
})

t.test('a disabled user stays so, by their own login and by a sync that does not say otherwise', async t => {
  const { admin, token, actOn, enrolled } = await administrator(service)
  const sync = async (user: object): Promise<Answer> =>
    await admin.call('PUT', '/admin/users', { users: [user] }, (await admin.call('POST', '/mfa/token', {}, token)).body.token)
  for (const way of ['login', 'sync', 'sync, enabled'] as const) {
    const { user, id } = await enrolled()
    t.equal((await sync({ subject: user.sub, disabled: true })).status, 200)
    t.equal((await user.call('GET', '/mfa/factors')).status, 403)
    await actOn(id, 'erase')
    t.equal((await user.call('GET', '/mfa/factors')).status, 401)
    clock.advance(2)
    while (
      (await db.rows<
        { old: boolean }
      >`SELECT erased_at >= to_timestamp(${clock.seconds}::float8) AS old FROM tombstones WHERE tenant = ${user.tenant}
        ORDER BY erased_at DESC LIMIT 1`)[
        0
      ]?.old === true
    ) clock.advance(2)
    if (way !== 'login') {
      t.match(await sync({ subject: user.sub, ...(way === 'sync, enabled' && { disabled: false }) }), { status: 200, body: { created: 1 } })
    }
    t.match(await user.call('GET', '/mfa/factors'), { status: way === 'sync, enabled' ? 200 : 403 }, way)
    t.not((await user.row()).id, id)
    t.ok((await user.row()).epoch > 3)
  }
})

t.test('who was synced anew is not reached by a token of before', async t => {
  const { admin, token, actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  const old = user.token()
  await actOn(id, 'erase')
  await admin.call('PUT', '/admin/users', { users: [{ subject: user.sub, account: 'anew' }] }, token)
  t.equal((await status(user, old)).status, 401)
  later()
  t.match(await status(user), { status: 200, body: { account: 'anew' } })
})

t.test('the hash is found under an older pepper too, is written under the newest, and says which pepper is needed', async t => {
  const { admin, token, actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  await actOn(id, 'erase')
  const pepperOf = async (): Promise<unknown> => await db.rows`SELECT pepper_id FROM tombstones WHERE tenant = ${user.tenant}`
  t.same(await findOtherPeppers(db), ['p1'])
  const rotated = await startService(t, {
    ...service.env,
    MFA_PEPPERS: `p2:${randomBytes(32).toString('base64')},${service.env.MFA_PEPPERS as string}`
  }, clock)
  t.equal((await rotated.call('GET', '/mfa/status', { token: user.token() })).status, 401)
  later()
  const { body } = await rotated.call('GET', '/mfa/status', { token: user.token() })
  t.ok((await user.row()).epoch > 2)
  t.same(await pepperOf(), [{ pepper_id: 'p1' }])
  const bearer = (await admin.call('POST', '/mfa/token', {}, token)).body.token
  t.equal((await rotated.call('POST', `/admin/users/${body.userId as string}/erase`, { token: bearer, body: { reason: 'x' } })).status, 204)
  t.same(await pepperOf(), [{ pepper_id: 'p2' }], 'and this user does not need the older one any more')
  t.same(await findOtherPeppers(db), ['p1', 'p2'])
  t.ok(
    (await findKeyUses(db)).some(use =>
      use.purpose === 'pepper' && use.id === 'p2' && use.what === 'tombstones of erased users' && use.rows === 1
    )
  )
  await t.rejects(
    proveKeys(db, markKeys(keySet(service.config)), service.config.MFA_ENCRYPTION_KEYS),
    /lacks the key "p2", which the database needs/,
    'no service starts without it'
  )
  await proveKeys(db, markKeys(keySet(rotated.config)), rotated.config.MFA_ENCRYPTION_KEYS)
})

t.test('an import makes the user anew as their login would: tokens of before are not theirs, and a disabled user gets nothing', async t => {
  const { admin, actOn, enrolled } = await administrator(service)
  for (const isDisabled of [false, true]) {
    const { user, id } = await enrolled()
    const old = user.token()
    if (isDisabled) await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant} AND id = ${id}::uuid`
    await actOn(id, 'erase')
    const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
    const target = { source: 'otpauth-csv', subject: 'id' as const, tenant: admin.tenant, namespace: ISSUER }
    const { users } = planImport(readOtpauthCsv(`subject,account,otpauth\n${user.sub},x,otpauth://totp/x?secret=${secret}\n`), target)
    const outcomes = []
    for await (
      const { outcome } of importUsers(users, {
        db,
        ring: () => service.secrets.sealing,
        peppers: () => service.secrets.peppers,
        target,
        isDry: false,
        clock: clock.read
      })
    ) outcomes.push(outcome)
    t.same(outcomes, [isDisabled ? 'disabled' : 'imported'])
    t.equal((await status(user, old)).status, 401)
    later()
    t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, isDisabled ? 403 : 200)
  }
})

t.test('where the audit or the tombstone cannot be written, no user is erased', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { settle } = db
  db.settle = async () =>
    await db
      .rows`SELECT erase_user(${user.tenant}, ${id}::uuid, 'x', '{"hash": null, "hashes": []}'::jsonb, '{}'::jsonb) AS result` as never
  t.equal((await actOn(id, 'erase')).status, 503)
  db.settle = settle
  t.match((await status(user)).body, { userId: id, enrolled: true })
})
