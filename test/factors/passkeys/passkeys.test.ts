// Passkeys as the contract has them, over HTTP and a real database.
import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { Authenticator } from '../../helpers/authenticator.ts'
import { answerChallenge, enrollPasskey, PASSKEYS, provePasskey, startPasskey } from '../../helpers/passkeys.ts'
import { claimsOf, startService } from '../../helpers/service.ts'

const service = await startService(t, {
  ...PASSKEYS,
  JWT_SESSION_CLAIM: 'sid',
  MFA_APPLICATION_AUDIENCES: 'billing',
  PASSKEY_RP_NAME: 'Example'
})
const { clock, db } = service
const ICLOUD = 'fbfc3007-154e-4ecc-8c0b-6e020557d7bd'

t.test('a first factor: set up, proved, and a token says so', async t => {
  const user = service.user({ sid: 's1', preferred_username: `${'x'.repeat(80)}@example.com` })
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false, offers: ['totp', 'passkey'] })
  t.match(await user.call('POST', '/mfa/passkeys/challenge', {}), {
    status: 409,
    body: { code: 'not_enrolled', detail: /POST \/mfa\/passkeys\.$/ }
  })
  t.match(
    await user.call('POST', '/mfa/passkeys/verify', {
      credential: new Authenticator().create({
        challenge: 'x',
        rp: { id: 'x' },
        user: { id: 'x' },
        pubKeyCredParams: [{ alg: -7 }],
        excludeCredentials: []
      })
    }),
    { status: 400 },
    'what is no answer to a challenge'
  )

  const started = await user.call('POST', '/mfa/passkeys', { label: 'My laptop' })
  const { id } = await user.row()
  t.match(started, {
    status: 201,
    body: {
      factorId: /^[0-9a-f-]{36}$/,
      expiresAt: /Z$/,
      options: {
        rp: { id: 'example.com', name: 'Example' },
        user: { id: Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url'), name: 'x'.repeat(64), displayName: 'x'.repeat(64) },
        challenge: /^[\w-]{43}$/,
        pubKeyCredParams: [{ type: 'public-key', alg: -7 }, { type: 'public-key', alg: -8 }, { type: 'public-key', alg: -257 }],
        timeout: 300_000,
        excludeCredentials: [],
        authenticatorSelection: { residentKey: 'preferred', requireResidentKey: false, userVerification: 'required' },
        attestation: 'none'
      }
    }
  })
  const { factorId, options } = started.body
  const pending = {
    id: factorId,
    kind: 'passkey',
    label: 'My laptop',
    status: 'pending',
    nextCodeAt: null,
    passkey: { rpId: 'example.com', credentialId: null, synced: null, provider: null, usable: false }
  }
  t.match((await user.call('GET', '/mfa/factors')).body.items, [pending])

  const authenticator = new Authenticator({ aaguid: ICLOUD, isEligible: true, isBackedUp: true })
  const credential = authenticator.create(options)
  const confirmed = await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential })
  t.match(confirmed, { status: 200, body: { factorId, tokenType: 'Bearer', acr: 'mfa', amr: ['pwd', 'mfa'], nextCodeAt: null } })
  t.equal(confirmed.body.recoveryCodes.length, 10, 'the first factor brings recovery codes')
  t.same(claimsOf(confirmed.body.token).amr, ['pwd', 'mfa'], 'a set-up proves no possession')
  t.match(
    await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential }),
    { status: 422, body: { code: 'code_refused' } },
    'an answer counts once'
  )
  const passkey = { rpId: 'example.com', credentialId: credential.id, synced: true, provider: 'iCloud Keychain', usable: true }
  t.match((await user.call('GET', '/mfa/status')).body, {
    enrolled: true,
    factors: [{ id: factorId, kind: 'passkey', label: 'My laptop', status: 'active', lastUsedAt: null, nextCodeAt: null, passkey }],
    decision: { action: 'allow', reason: 'mfa_verified' }
  })

  const challenge = await user.call('POST', '/mfa/passkeys/challenge', {})
  t.match(challenge, {
    status: 200,
    body: {
      expiresAt: /Z$/,
      options: {
        rpId: 'example.com',
        timeout: 300_000,
        userVerification: 'required',
        allowCredentials: [{ type: 'public-key', id: credential.id, transports: ['internal'] }]
      }
    }
  })
  const verified = await user.call('POST', '/mfa/passkeys/verify', { credential: authenticator.get(challenge.body.options) })
  t.same({ ...verified.body, token: '', expiresIn: 0 }, {
    token: '',
    tokenType: 'Bearer',
    expiresIn: 0,
    factorId,
    acr: 'phr',
    amr: ['pwd', 'pop', 'user', 'mfa']
  })
  t.match(claimsOf(verified.body.token), { acr: 'phr', amr: ['pwd', 'pop', 'user', 'mfa'], fid: factorId })
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ lastUsedAt: /Z$/ }])
  t.match(await user.call('PATCH', `/mfa/factors/${factorId}`, { label: 'Laptop' }, verified.body.token), {
    status: 200,
    body: { label: 'Laptop', passkey }
  })
  t.match((await user.events()).map(({ action, factor_kind: kind, details }) => [action, kind, details.factorId]), [
    ['factor.started', 'passkey', factorId],
    ['factor.confirmed', 'passkey', factorId],
    ['passkey.accepted', 'passkey', factorId],
    ['factor.renamed', 'passkey', factorId]
  ])
})

t.test('it may be the first factor, beside TOTP, and last; a passkey and codes know nothing of each other\'s waits', async t => {
  const user = service.user()
  const totp = await user.enroll()
  const { authenticator, factorId, recoveryCodes } = await enrollPasskey(user, { token: totp.token })
  t.equal(recoveryCodes, null)
  t.match((await user.call('GET', '/mfa/factors')).body.items.map(({ kind, label, passkey }: any) => [kind, label, passkey === null]), [[
    'totp',
    'Authenticator 1',
    true
  ], ['passkey', 'Passkey 1', false]])
  for (let time = 0; time < 5; time++) await user.call('POST', '/mfa/verify', { code: clock.wrongCode(totp.secret) })
  t.match(await user.call('POST', '/mfa/verify', { code: clock.code(totp.secret) }), { status: 429 })
  const verified = await provePasskey(user, authenticator)
  t.match(verified, { status: 200, body: { factorId } })
  t.match(await user.throttle('totp'), { failures: 5 }, 'it has cleared nothing of theirs')
  t.equal((await db.rows`SELECT 1 FROM throttles WHERE tenant = ${user.tenant} AND kind = 'passkey'`).length, 0)
  t.equal((await user.call('DELETE', `/mfa/factors/${totp.factorId}`, {}, verified.body.token)).status, 200)
  const again = await provePasskey(user, authenticator)
  t.equal((await user.call('DELETE', `/mfa/factors/${factorId}`, {}, again.body.token)).status, 204)
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false, factors: [], recoveryCodes: null })
})

t.test('without a label it is called what keeps it, and numbered where that is taken', async t => {
  const user = service.user()
  const first = await enrollPasskey(user, { traits: { aaguid: ICLOUD } })
  const { token } = (await provePasskey(user, first.authenticator)).body
  await enrollPasskey(user, { token, traits: { aaguid: ICLOUD } })
  await enrollPasskey(user, { token })
  await enrollPasskey(user, { token })
  const { items } = (await user.call('GET', '/mfa/factors')).body
  t.same(items.map(({ label }: any) => label), ['iCloud Keychain', 'iCloud Keychain 2', 'Passkey 1', 'Passkey 2'])
  await startPasskey(user, token)
  t.match((await user.call('GET', '/mfa/factors', undefined, token)).body.items.at(-1), { label: 'Passkey 3', status: 'pending' })
  t.match(await user.call('POST', '/mfa/passkeys', { label: 'Passkey 1' }, token), { status: 409, body: { code: 'label_taken' } })
})

t.test('ten passkeys and five authenticators, each kind in its own room', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  for (let number = 0; number < 10; number++) await enrollPasskey(user, { token })
  t.match(await user.call('POST', '/mfa/passkeys', {}, token), { status: 409, body: { code: 'too_many_factors' } })
  for (let number = 1; number < 5; number++) await user.enroll(token)
  t.match(await user.call('POST', '/mfa/enroll', {}, token), { status: 409, body: { code: 'too_many_factors' } })
  const { options } = (await user.call('POST', '/mfa/passkeys/challenge', {})).body
  t.equal(options.allowCredentials.length, 10)
})

t.test('starts of both kinds share twenty an hour', async t => {
  const user = service.user()
  for (let time = 0; time < 10; time++) {
    t.equal((await user.call('POST', '/mfa/passkeys', {})).status, 201)
    t.equal((await user.call('POST', '/mfa/enroll', {})).status, 201)
  }
  t.match(await user.call('POST', '/mfa/passkeys', {}), { status: 429, body: { code: 'too_many_attempts' } })
})

t.test('acr: an application is told phr if it asks, and only for what was a passkey', async t => {
  const user = service.user({ sid: 's1' })
  const { authenticator } = await enrollPasskey(user)
  const acr = (answer: any): string => claimsOf(answer.body.token).acr
  const billing = { audience: 'billing' }
  t.equal(acr(await provePasskey(user, authenticator, {}, user.token(), billing)), 'mfa')
  const asked = await provePasskey(user, authenticator, {}, user.token(), { ...billing, acr: 'phr' })
  t.match([asked.body.acr, acr(asked), claimsOf(asked.body.token).aud], ['phr', 'phr', 'billing'])
  t.equal(acr(await user.call('POST', '/mfa/token', {})), 'phr', 'the session remembers it')
  t.equal(acr(await user.call('POST', '/mfa/token', billing)), 'mfa')
  t.equal(acr(await user.call('POST', '/mfa/token', { ...billing, acr: 'phr' })), 'phr')

  const other = service.user({ sid: 's2' })
  const totp = await other.enroll()
  t.match(await other.call('POST', '/mfa/token', { acr: 'phr' }), { status: 409, body: { code: 'not_enrolled', detail: /no passkey/ } })
  const passkey = await enrollPasskey(other, { token: totp.token })
  const refused = await other.call('POST', '/mfa/token', { acr: 'phr' })
  t.match(
    refused,
    { status: 401, body: { code: 'step_up_required', action: 'verify', acr: 'phr', detail: /Only a passkey/ } },
    'a set-up is none'
  )
  t.match(refused.headers.get('www-authenticate'), /acr_values="phr"/)
  const code = await other.verify(totp.secret)
  t.match(await other.call('POST', '/mfa/token', { acr: 'phr' }, code), { status: 401 })
  t.equal((await provePasskey(other, passkey.authenticator)).status, 200)
  t.equal(acr(await other.call('POST', '/mfa/token', { acr: 'phr' }, code)), 'phr', 'the session has done more than the token')
  t.equal(acr(await other.call('POST', '/mfa/token', {}, code)), 'mfa')
  await other.verify(totp.secret)
  t.match(await other.call('POST', '/mfa/token', { acr: 'phr' }), { status: 401 }, 'the latest proof counts')
  t.match(await other.call('POST', '/mfa/token', { acr: 'mfa' }), { status: 400 })
})

t.test('a recovery sets one up, which says so, and does not administer for a day', async t => {
  const user = service.user({ roles: ['mfa:admin'], sid: 's1' })
  const totp = await user.enroll()
  const recovered = await user.call('POST', '/mfa/recovery', { code: totp.recoveryCodes?.[0] })
  const { factorId, options } = await startPasskey(user, recovered.body.token)
  const authenticator = new Authenticator()
  const confirmed = await user.call(
    'POST',
    '/mfa/passkeys/confirm',
    { factorId, credential: authenticator.create(options) },
    recovered.body.token
  )
  t.match(confirmed, { status: 200, body: { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'] } })
  const verified = await provePasskey(user, authenticator)
  t.match(await user.call('GET', '/admin/stats', undefined, verified.body.token), { status: 401, body: { code: 'step_up_required' } })
  t.equal((await user.call('GET', '/admin/stats', undefined, await user.verify(totp.secret))).status, 200)
})

t.test('a passkey administers: phr is enough wherever mfa is', async t => {
  const user = service.user({ roles: ['mfa:admin'] })
  const { authenticator } = await enrollPasskey(user)
  t.equal((await user.call('GET', '/admin/stats', undefined, (await provePasskey(user, authenticator)).body.token)).status, 200)
})

t.test('a confirmation may be repeated until it has succeeded: the answer of a first try may be lost', async t => {
  const user = service.user()
  const { factorId, options } = await startPasskey(user)
  const credential = new Authenticator().create(options)
  t.match(
    await user.call('POST', '/mfa/passkeys/confirm', {
      factorId,
      credential: { ...credential, id: Buffer.from(randomBytes(32)).toString('base64url') }
    }),
    { status: 422, body: { code: 'code_refused' } }
  )
  t.equal((await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential })).status, 200)
})

t.test('the fifth refused answer ends a set-up, and another login session never answers it', async t => {
  const user = service.user({ sid: 's1' })
  const { factorId, options } = await startPasskey(user)
  const authenticator = new Authenticator()
  t.equal(
    (await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: authenticator.create(options) }, user.token({ sid: 's2' })))
      .status,
    404
  )
  for (let time = 0; time < 5; time++) {
    t.match(
      await user.call('POST', '/mfa/passkeys/confirm', {
        factorId,
        credential: authenticator.create(options, { origin: 'https://evil.example' })
      }),
      { status: 422, body: { code: 'code_refused' } }
    )
  }
  t.match(await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: authenticator.create(options) }), {
    status: 404,
    body: { detail: /five/ }
  })
  const refused = (await user.events()).filter(({ action }) => action === 'passkey.refused')
  t.match(refused, [{ factor_kind: 'passkey', outcome: 'failure', details: { cause: 'origin', count: 1 } }], 'one event a minute')
})

t.test('a public key is sealed for a passkey alone: as a TOTP secret it is unreadable, and never accepted', async t => {
  const user = service.user()
  const { authenticator, factorId } = await enrollPasskey(user)
  const credential = await answerChallenge(user, authenticator)
  await db.rows`UPDATE factors SET kind = 'totp', algorithm = 'SHA1', digits = 6, period = 30 WHERE tenant = ${user.tenant}`
  t.match(await user.call('POST', '/mfa/verify', { code: '123456' }), { status: 503 })
  t.match(
    await user.call('POST', '/mfa/enroll', {}),
    { status: 401, body: { code: 'step_up_required' } },
    'and a password alone enrolls no one'
  )
  await db.rows`UPDATE factors SET kind = 'passkey' WHERE tenant = ${user.tenant}`
  // The parameters are bound, too.
  t.match(await user.call('POST', '/mfa/passkeys/verify', { credential }), { status: 503, body: { code: 'unavailable' } })
  await db.rows`UPDATE factors SET algorithm = NULL, digits = NULL, period = NULL WHERE tenant = ${user.tenant}`
  t.match(await user.call('POST', '/mfa/passkeys/verify', { credential }), { status: 200 }, 'nothing of it was used up')
  t.match((await user.events()).filter(({ action }) => action === 'secret.unreadable'), [{ factor_kind: 'totp' }, {
    factor_kind: 'passkey',
    details: { factorId }
  }])
  t.equal((await user.events()).filter(({ action }) => action === 'passkey.refused').length, 0)
})

t.test('of a second RP ID nothing is usable, and no one falls back to a password', async t => {
  const user = service.user()
  const { authenticator, recoveryCodes } = await enrollPasskey(user)
  const other = await startService(t, {
    ...service.env,
    PASSKEY_RP_ID: 'example.org',
    PASSKEY_ORIGINS: 'https://example.org',
    PASSKEY_RP_NAME: undefined
  }, clock)
  const call = (method: string, path: string, body?: unknown): Promise<any> => other.call(method, path, { token: user.token(), body })
  t.match(await call('POST', '/mfa/passkeys/challenge', {}), { status: 409, body: { code: 'not_enrolled' } })
  t.match(await call('POST', '/mfa/passkeys/verify', { credential: await answerChallenge(user, authenticator) }), {
    status: 409,
    body: { code: 'not_enrolled' }
  })
  t.match((await call('GET', '/mfa/status')).body, {
    enrolled: true,
    factors: [{ passkey: { rpId: 'example.com', usable: false } }],
    decision: { action: 'verify' }
  })
  t.match(await call('POST', '/mfa/passkeys', {}), { status: 401, body: { code: 'step_up_required' } })
  const recovered = await call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  const started = await other.call('POST', '/mfa/passkeys', { token: recovered.body.token, body: {} })
  t.match(started.body.options, { rp: { id: 'example.org', name: 'Headless MFA' }, excludeCredentials: [] })
})

t.test('without a relying party each call is not_offered, and nothing else changes', async t => {
  const plain = await startService(
    t,
    { ...service.env, PASSKEY_RP_ID: undefined, PASSKEY_ORIGINS: undefined, PASSKEY_RP_NAME: undefined },
    clock
  )
  const user = service.user()
  const { authenticator } = await enrollPasskey(user)
  const { factorId } = await startPasskey(user, (await provePasskey(user, authenticator)).body.token)
  const credential = await answerChallenge(user, authenticator)
  const attested = authenticator.create({
    challenge: 'x',
    rp: { id: 'x' },
    user: { id: 'x' },
    pubKeyCredParams: [{ alg: -7 }],
    excludeCredentials: []
  })
  const calls: Array<[string, object]> = [['', {}], ['/confirm', { factorId, credential: attested }], ['/challenge', {}], ['/verify', {
    credential
  }]]
  for (const [path, body] of calls) {
    t.match(
      await plain.call('POST', `/mfa/passkeys${path}`, { token: user.token(), body }),
      { status: 409, body: { code: 'not_offered' } },
      path
    )
  }
  const { body } = await plain.call('GET', '/mfa/status', { token: user.token() })
  t.match(body, {
    offers: ['totp'],
    factors: [{ kind: 'passkey', passkey: { usable: false } }, { kind: 'passkey', status: 'pending', passkey: null }]
  })
  const other = plain.user({ amr: ['pop', 'user'] })
  t.same(claimsOf((await other.enroll()).token).amr, ['pop', 'user', 'otp', 'mfa'], 'words of the issuer stay its own')
  t.match((await other.call('GET', '/mfa/status')).body, { offers: ['totp'], factors: [{ kind: 'totp', passkey: null }] })
})

t.test('tenants of several relying parties each have their own', async t => {
  const { writeFileSync } = await import('node:fs')
  const path = `${t.testdir()}/passkeys.json`
  const tenant = `tenant-${randomUUID()}`
  writeFileSync(path, JSON.stringify([{ tenants: [tenant], rpId: 'acme.example', origins: ['https://acme.example'] }]))
  const { PASSKEY_RP_ID: _, PASSKEY_ORIGINS: __, PASSKEY_RP_NAME: ___, ...env } = service.env
  const several = await startService(t, { ...env, PASSKEYS_FILE: path })
  const acme = several.user({ tenant })
  const { authenticator } = await enrollPasskey(acme, { authenticator: new Authenticator({ origin: 'https://acme.example' }) })
  t.match(await provePasskey(acme, authenticator), { status: 200 })
  t.match(await several.user().call('POST', '/mfa/passkeys', {}), { status: 409, body: { code: 'not_offered' } })
})
