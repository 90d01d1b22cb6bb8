// The database was changed, or a key is lost: nothing opens, the caller is not told why, and no one passes for it.
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { Secrets } from '../../../src/config/secrets.ts'
import { tagOf } from '../../../src/factors/recovery-codes/recovery-code.ts'
import { ownDatabase } from '../../helpers/database.ts'
import { type Answer, type User, startService } from '../../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { clock, db } = service

/** The same bytes for every cause: a 503 without a token. */
function isUnavailable (t: Test, answer: Answer): void {
  t.match(answer, { status: 503, body: { code: 'unavailable', title: 'Not available at the moment' } })
  t.match(answer.headers.get('retry-after'), /^[1-9][0-9]*$/)
  t.notMatch(answer.text, /token|secret|decrypt|key|seal|eyJ/i)
}

const unreadable = async (user: User): Promise<any[]> => (await user.events()).filter(event => event.action === 'secret.unreadable')

/** The user's code opens nothing, and they still count as a user with MFA. */
async function failsClosed (t: Test, user: User, secret: string): Promise<void> {
  isUnavailable(t, await user.call('POST', '/mfa/verify', { code: clock.code(secret) }))
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: true, decision: { action: 'verify', reason: 'factor_enrolled' } })
  t.equal((await user.throttle('totp')).failures, 1, 'it counts as a failure')
  t.match(await unreadable(user), [{ outcome: 'failure', factor_kind: 'totp', details: { factorId: /-/, keyId: /./ } }])
  t.notOk((await user.events()).some(event => event.action === 'totp.accepted'))
}

t.test('a secret swapped between two users of a tenant opens for neither', async t => {
  const alice = service.user()
  const bob = service.user({ tenant: alice.tenant })
  const [{ secret: ofAlice }, { secret: ofBob }] = [await alice.enroll(), await bob.enroll()]
  await db
    .rows`UPDATE factors f SET sealed = o.sealed FROM factors o WHERE f.tenant = ${alice.tenant} AND o.tenant = f.tenant AND o.id <> f.id`
  isUnavailable(t, await alice.call('POST', '/mfa/verify', { code: clock.code(ofAlice) }))
  isUnavailable(t, await alice.call('POST', '/mfa/verify', { code: clock.code(ofBob) }))
  isUnavailable(t, await bob.call('POST', '/mfa/verify', { code: clock.code(ofAlice) }))
  t.equal((await unreadable(alice)).length, 3)
})

t.test('a secret brought in from another tenant opens nothing', async t => {
  const alice = service.user()
  const mallory = service.user()
  const [{ secret }, { secret: ofMallory }] = [await alice.enroll(), await mallory.enroll()]
  // In two statements, as the tenants may be on two workers of a cluster.
  const [{ sealed }] = await db.rows`SELECT sealed FROM factors WHERE tenant = ${mallory.tenant}` as [{ sealed: Uint8Array }]
  await db.rows`UPDATE factors SET sealed = ${sealed} WHERE tenant = ${alice.tenant}`
  isUnavailable(t, await alice.call('POST', '/mfa/verify', { code: clock.code(ofMallory) }))
  await alice.endWait()
  isUnavailable(t, await alice.call('POST', '/mfa/verify', { code: clock.code(secret) }))
})

t.test('one flipped bit of version, nonce, ciphertext or tag', async t => {
  for (const [part, byte] of [['version', 0], ['nonce', 3], ['ciphertext', 20], ['tag', 40]] as const) {
    const user = service.user()
    const { secret } = await user.enroll()
    await db
      .rows`UPDATE factors SET sealed = set_byte(sealed, ${byte}::int, get_byte(sealed, ${byte}::int) # 1) WHERE tenant = ${user.tenant}`
    await t.test(part, t => failsClosed(t, user, secret))
  }
})

t.test('sealed bytes that are cut short, or none', async t => {
  for (const length of [0, 12, 48]) {
    const user = service.user()
    const { secret } = await user.enroll()
    await db.rows`UPDATE factors SET sealed = substring(sealed FROM 1 FOR ${length}::int) WHERE tenant = ${user.tenant}`
    await t.test(`${length} bytes`, t => failsClosed(t, user, secret))
  }
})

t.test('a key id that is unknown, another\'s or not what it was', async t => {
  const keys = `${service.env.MFA_ENCRYPTION_KEYS as string},k2:${randomBytes(32).toString('base64')}`
  const both = await startService(t, { ...service.env, MFA_ENCRYPTION_KEYS: keys }, clock)
  for (const keyId of ['k2', 'k9', '']) {
    const user = both.user()
    const { secret } = await user.enroll()
    await db.rows`UPDATE factors SET key_id = ${keyId} WHERE tenant = ${user.tenant}`
    isUnavailable(t, await user.call('POST', '/mfa/verify', { code: clock.code(secret) }))
    t.match(await unreadable(user), [{ details: { keyId } }])
  }
})

t.test('parameters of a factor that cannot be', async t => {
  for (const change of ['algorithm', 'digits', 'period'] as const) {
    const user = service.user()
    const { secret } = await user.enroll()
    if (change === 'algorithm') await db.rows`UPDATE factors SET algorithm = 'CRC32' WHERE tenant = ${user.tenant}`
    if (change === 'digits') await db.rows`UPDATE factors SET digits = 0 WHERE tenant = ${user.tenant}`
    if (change === 'period') await db.rows`UPDATE factors SET period = 0 WHERE tenant = ${user.tenant}`
    const { status, text } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) })
    t.ok(status === 422 || status === 503, `${change}: ${status}`)
    t.notMatch(text, /eyJ/)
    t.equal((await user.throttle('totp')).failures, 1)
  }
})

t.test("beside one that does not open, the code of a good one works; a wrong one is a 503, since it may have been the other's", async t => {
  const user = service.user()
  const broken = await user.enroll()
  const good = await user.enroll(broken.token)
  await db
    .rows`UPDATE factors SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE tenant = ${user.tenant}
      AND id = ${broken.factorId}::uuid`
  isUnavailable(t, await user.call('POST', '/mfa/verify', { code: clock.code(broken.secret) }))
  t.match(await user.throttle('totp'), { failures: 1, tries: 2 })
  const verified = await user.call('POST', '/mfa/verify', { code: clock.code(good.secret) })
  t.match(verified, { status: 200, body: { factorId: good.factorId } })
  t.match(await unreadable(user), [{ details: { factorId: broken.factorId } }, { details: { factorId: broken.factorId } }])
  t.equal((await user.call('DELETE', `/mfa/factors/${broken.factorId}`, {}, verified.body.token)).status, 200, 'it can be removed')
})

t.test('a pending secret that was changed is confirmed by no code', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  await db.rows`UPDATE enrollments SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE tenant = ${user.tenant}`
  isUnavailable(t, await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) }))
  t.equal((await unreadable(user)).length, 1)
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false })
})

t.test('recovery codes whose pepper is not configured open nothing, and TOTP goes on', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  await db.rows`UPDATE recovery_codes SET pepper_id = 'p9' WHERE tenant = ${user.tenant}`
  isUnavailable(t, await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] }))
  t.match(await unreadable(user), [{ factor_kind: 'recovery', details: { pepperId: 'p9' } }])
  t.match((await user.call('GET', '/mfa/recovery')).body, { total: 10, remaining: 10 })
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
})

t.test('recovery codes moved to another user, slot or pepper open nothing', async t => {
  const alice = service.user()
  const bob = service.user({ tenant: alice.tenant })
  const [{ recoveryCodes: ofAlice }, { recoveryCodes: ofBob }] = [await alice.enroll(), await bob.enroll()]
  const { id } = await alice.row()
  await db.rows`UPDATE recovery_codes a SET hash = b.hash, tag = b.tag FROM recovery_codes b
    WHERE a.tenant = ${alice.tenant} AND b.tenant = a.tenant AND a.user_id = ${id}::uuid AND b.user_id <> a.user_id AND a.slot = 1
      AND b.slot = 0`
  t.equal((await alice.call('POST', '/mfa/recovery', { code: ofAlice?.[1] })).status, 422)
  t.equal((await alice.call('POST', '/mfa/recovery', { code: ofBob?.[0] })).status, 422, 'the code names its slot')
  // Bob's first code stands in the place of alice's: hash and tag are of bob.
  await db.rows`UPDATE recovery_codes a SET hash = b.hash, tag = b.tag FROM recovery_codes b
    WHERE a.tenant = ${alice.tenant} AND b.tenant = a.tenant AND a.user_id = ${id}::uuid AND b.user_id <> a.user_id AND a.slot = 0
      AND b.slot = 0`
  t.equal((await alice.call('POST', '/mfa/recovery', { code: ofBob?.[0] })).status, 422, 'a user\'s own code opens for no one else')
  // Even with the tag that bob's code has for alice.
  const tag = tagOf(
    new Secrets(service.config).peppers.keys.get('p1') as Buffer,
    { tenant: alice.tenant, userId: id },
    (ofBob?.[0] as string).replaceAll('-', '')
  )
  await db.rows`UPDATE recovery_codes SET tag = ${tag} WHERE tenant = ${alice.tenant} AND user_id = ${id}::uuid AND slot = 0`
  t.equal((await alice.call('POST', '/mfa/recovery', { code: ofBob?.[0] })).status, 422, 'nor by its hash')
  t.equal((await bob.call('POST', '/mfa/recovery', { code: ofBob?.[0] })).status, 200)
})

t.test('in a service with another pepper or key, restored data open nothing at all', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  const restored = await startService(t, {
    ...service.env,
    MFA_PEPPERS: `p1:${randomBytes(32).toString('base64')}`,
    MFA_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    THROTTLE_WAITS: '0'
  }, clock)
  const call = (path: string, code: string | undefined): Promise<Answer> =>
    restored.call('POST', path, { token: user.token(), body: { code } })
  for (const code of recoveryCodes as string[]) t.equal((await call('/mfa/recovery', code)).status, 422)
  isUnavailable(t, await call('/mfa/verify', clock.code(secret)))
})

t.test('a remembered second factor that the service did not write counts for nothing, and is told of', async t => {
  const service = await startService(t, { DATABASE_URL: url, JWT_SESSION_CLAIM: 'sid' })
  const alice = service.user({ sid: 'alice', roles: ['mfa:admin'] })
  const mallory = service.user({ sid: 'mallory', tenant: alice.tenant, roles: ['mfa:admin'] })
  const thief = service.user({ sid: 'thief', sub: alice.sub, tenant: alice.tenant, roles: ['mfa:admin'] })
  await alice.enroll()
  await mallory.enroll()
  const renew = (user: User): Promise<Answer> => user.call('POST', '/mfa/token')
  t.equal((await renew(alice)).status, 200, 'what was remembered counts')
  const { id } = await alice.row()
  const { tenant } = alice

  // By the service's login alone, for a session of the thief's: made up, alice's own, or mallory's.
  await db
    .rows`INSERT INTO mfa_sessions (tenant, user_id, issuer, session, acr, methods, factor_id, auth_time, epoch, ends_at, mac, expires_at)
    SELECT tenant, user_id, issuer, 'thief', 'mfa', '{otp}', factor_id, now(), epoch, now() + interval '1 hour', '\\x00',
      now() + interval '1 hour'
    FROM mfa_sessions WHERE tenant = ${tenant} AND session = 'alice'`
  t.match(await renew(thief), { status: 401, body: { code: 'step_up_required' } }, 'made up')
  for (const session of ['alice', 'mallory']) {
    await db
      .rows`UPDATE mfa_sessions s SET mac = o.mac, methods = o.methods, factor_id = o.factor_id, auth_time = o.auth_time,
        ends_at = o.ends_at
      FROM mfa_sessions o WHERE s.tenant = ${tenant} AND o.tenant = ${tenant} AND s.session = 'thief' AND o.session = ${session}`
    t.match(await renew(thief), { status: 401, body: { code: 'step_up_required' } }, `of ${session}`)
  }
  t.equal((await thief.call('GET', '/mfa/authorize')).status, 401)
  await db
    .rows`UPDATE mfa_sessions SET ends_at = (ends_at AT TIME ZONE 'UTC' + interval '1 hour') AT TIME ZONE 'UTC'
      WHERE tenant = ${tenant} AND session = 'alice'`
  t.match(await renew(alice), { status: 401 }, 'made longer')
  t.ok(service.log.some(line => line.includes('a remembered second factor was not made by this service') && line.includes(id)))
})

t.test('a time step that was made endless opens nothing', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  await db.rows`UPDATE factors SET period = 2000000000, counter = -1 WHERE tenant = ${user.tenant}`
  await failsClosed(t, user, secret)
})
