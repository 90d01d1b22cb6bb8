import t from 'tap'
import { fromBase32, inTime } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

t.test('a start answers a 160-bit secret, a key URI of exactly what the verifier uses, and a PNG of it', async t => {
  const service = await useService(t, { TOTP_ISSUER_NAME: 'Acme & Co' })
  const user = service.user({ email: 'alice@example.com' })
  const { status, body, headers } = await user.call('POST', '/mfa/enroll', { label: 'Phone' })
  t.equal(status, 201)
  t.same(Object.keys(body).sort(), ['expiresAt', 'factorId', 'otpauthUri', 'qrCode', 'secret'])
  t.equal(fromBase32(body.secret).length, 20)
  t.notMatch(body.secret, '=')
  const uri = new URL(body.otpauthUri)
  t.same([...uri.searchParams].sort(), [['algorithm', 'SHA1'], ['digits', '6'], ['issuer', 'Acme & Co'], ['period', '30'], [
    'secret',
    body.secret
  ]])
  t.equal(decodeURIComponent(uri.pathname), '/Acme & Co:alice@example.com')
  t.match(body.qrCode, /^data:image\/png;base64,iVBORw0KGgo/)
  t.ok(body.qrCode.length < 2000, 'a small one')
  const lifetime = (new Date(body.expiresAt).getTime() - Date.now()) / 1000
  t.ok(lifetime > 590 && lifetime <= 601, 'ten minutes')
  t.equal(headers.get('cache-control'), 'no-store')
})

t.test('no account name injects anything into the key URI', async t => {
  const service = await useService(t)
  for (const name of ['a:b', 'x&issuer=Evil', '%0a', '"<', '😀👩‍👩‍👧', 'ä'.repeat(255), 'a?secret=AAAA#f']) {
    const { body, status } = await service.user({ preferred_username: name }).call('POST', '/mfa/enroll')
    t.equal(status, 201, name.slice(0, 20))
    const uri = new URL(body.otpauthUri)
    t.same(uri.searchParams.getAll('issuer'), ['Headless MFA'])
    t.same(uri.searchParams.getAll('secret'), [body.secret])
    t.equal(uri.hash, '')
    t.ok(decodeURIComponent(uri.pathname.slice(1)).startsWith('Headless MFA:'))
    t.equal(uri.pathname.split(/:|%3A/).length, 2, 'one colon, between the two names')
  }
})

t.test('200 starts give 200 different secrets whose bytes look random', async t => {
  const service = await useService(t)
  const secrets: string[] = []
  // As many at once as a busy machine answers in time.
  const start = async (): Promise<string> => (await inTime(() => service.user().call('POST', '/mfa/enroll'))).body.secret
  while (secrets.length < 200) secrets.push(...await Promise.all(Array.from({ length: 20 }, start)))
  t.equal(new Set(secrets).size, 200)
  const counts = new Array<number>(16).fill(0)
  for (const secret of secrets) for (const byte of fromBase32(secret)) { counts[byte >> 4] = (counts[byte >> 4] ?? 0) + 1 }
  const expected = 200 * 20 / 16
  const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  t.ok(chiSquared < 45, `chi² ${chiSquared} with 15 degrees of freedom`)
})

t.test('a first start needs a login of the last 15 minutes, and says so', async t => {
  const service = await useService(t)
  const user = service.user()
  const now = service.clock.seconds
  for (const age of [901, 1000, 86_400]) {
    const { status, body, headers } = await user.call('POST', '/mfa/enroll', {}, user.token({ auth_time: now - age }))
    t.equal(status, 401)
    t.match(body, { code: 'step_up_required', action: 'login' })
    t.equal(headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", max_age=900')
  }
  t.equal((await service.db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant}`).length, 0)
})

t.test('JWT_IAT_IS_LOGIN lets iat stand for auth_time, and only then', async t => {
  const service = await useService(t, { JWT_IAT_IS_LOGIN: 'true' })
  const user = service.user()
  t.equal((await user.call('POST', '/mfa/enroll', {}, user.token({ auth_time: undefined }))).status, 201)
  t.equal((await user.call('POST', '/mfa/enroll', {}, user.token({ auth_time: undefined, iat: service.clock.seconds - 1000 }))).status, 401)
})

t.test('nothing is active before a code is proven, and the pending secret verifies nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body } = await user.call('POST', '/mfa/enroll')
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(body.secret) })).body.code, 'not_enrolled')
  t.match((await user.call('GET', '/mfa/status')).body, {
    enrolled: false,
    recoveryCodes: null,
    factors: [{ id: body.factorId, status: 'pending' }]
  })
})

t.test('the confirming code is spent, and the next one is good', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const code = service.clock.code(secret)
  const { status, body } = await user.call('POST', '/mfa/enroll/confirm', { factorId, code })
  t.equal(status, 200)
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'factorId', 'nextCodeAt', 'recoveryCodes', 'token', 'tokenType'])
  t.equal(body.nextCodeAt, new Date((Math.floor(service.clock.seconds / 30) + 1) * 30_000).toISOString())
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 422)
  service.clock.advance(30)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 200)
})

t.test('a start replaces the pending one: another secret, and the first one confirms nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body: first } = await user.call('POST', '/mfa/enroll')
  const { body: second } = await user.call('POST', '/mfa/enroll')
  t.not(first.secret, second.secret)
  const code = service.clock.code(first.secret)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId: first.factorId, code })).status, 404)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId: second.factorId, code })).status, 422)
})

t.test('a pending factor ends after ten minutes, with a valid code too', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  await service.db.rows`UPDATE enrollments SET expires_at = now() WHERE tenant = ${user.tenant}`
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: service.clock.code(secret) })).status, 404)
})

t.test('a confirmation belongs to the user, tenant and session that started it', async t => {
  const service = await useService(t, { JWT_SESSION_CLAIM: 'session_id' })
  const user = service.user({ session_id: 's1' })
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const confirm = { factorId, code: service.clock.code(secret) }
  const other = service.user({ tenant: user.tenant, session_id: 's1' })
  const elsewhere = service.user({ sub: user.sub, session_id: 's1' })
  t.equal((await other.call('POST', '/mfa/enroll/confirm', confirm)).status, 404)
  t.equal((await elsewhere.call('POST', '/mfa/enroll/confirm', confirm)).status, 404)
  for (const session of ['s2', undefined]) {
    t.equal((await user.call('POST', '/mfa/enroll/confirm', confirm, user.token({ session_id: session }))).status, 404)
  }
  t.equal((await user.call('POST', '/mfa/enroll/confirm', confirm)).status, 200)
})

t.test('the fifth wrong code destroys the pending factor, and the next call waits', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  for (let i = 0; i < 5; i++) {
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: service.clock.wrongCode(secret) })).status, 422)
  }
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: service.clock.code(secret) })).status, 404)
  const { body: anew } = await user.call('POST', '/mfa/enroll')
  const confirm = { factorId: anew.factorId, code: service.clock.code(anew.secret) }
  t.equal((await user.call('POST', '/mfa/enroll/confirm', confirm)).status, 429, 'a new set-up waits, too')
  await user.endWait()
  t.equal((await user.call('POST', '/mfa/enroll/confirm', confirm)).status, 200)
})

t.test('with an active factor a start needs a fresh MFA token, and leaves that factor as it is', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, token } = await user.enroll()
  const refused = await user.call('POST', '/mfa/enroll')
  t.equal(refused.status, 401)
  t.equal(refused.headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=900')
  t.equal(refused.body.action, 'verify')
  const started = await user.call('POST', '/mfa/enroll', {}, token)
  t.equal(started.status, 201)
  t.equal(
    (await user.call('POST', '/mfa/enroll/confirm', { factorId: started.body.factorId, code: service.clock.code(started.body.secret) }))
      .status,
    401,
    'the confirmation needs it too'
  )
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 200)
})

t.test('up to five authenticators, each with a label of its own, numbered without one; codes come with the first alone', async t => {
  const service = await useService(t)
  const user = service.user()
  const { token, recoveryCodes } = await user.enroll(undefined, 'Phone')
  t.equal(recoveryCodes?.length, 10)
  t.equal((await user.call('POST', '/mfa/enroll', { label: 'Phone' }, token)).body.code, 'label_taken')
  for (let i = 0; i < 4; i++) t.equal((await user.enroll(token)).recoveryCodes, null)
  t.same((await user.call('GET', '/mfa/factors')).body.items.map((factor: { label: string }) => factor.label),
    ['Phone', 'Authenticator 1', 'Authenticator 2', 'Authenticator 3', 'Authenticator 4'])
  t.equal((await user.call('POST', '/mfa/enroll', {}, token)).body.code, 'too_many_factors')
})

t.test('each of several authenticators verifies, with or without its id', async t => {
  const service = await useService(t)
  const user = service.user()
  const first = await user.enroll()
  const second = await user.enroll(first.token)
  const code = service.clock.code(second.secret)
  t.equal((await user.call('POST', '/mfa/verify', { code, factorId: first.factorId })).status, 422, 'the code of another one')
  t.match((await user.call('POST', '/mfa/verify', { code })).body, { factorId: second.factorId })
  t.match((await user.call('POST', '/mfa/verify', { code: service.clock.code(first.secret), factorId: first.factorId })).body, {
    factorId: first.factorId
  })
})

t.test('under a recovery token the confirmation stays mfa-recovery', async t => {
  const service = await useService(t)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const { body } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  const started = await user.call('POST', '/mfa/enroll', {}, body.token)
  const confirmed = await user.call('POST', '/mfa/enroll/confirm', {
    factorId: started.body.factorId,
    code: service.clock.code(started.body.secret)
  }, body.token)
  t.match(confirmed.body, { acr: 'mfa-recovery', amr: ['pwd', 'otp', 'recovery', 'mfa'], recoveryCodes: null })
})

t.test('the client names nothing of the secret, its parameters or whose it is', async t => {
  const service = await useService(t)
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  for (const field of ['secret', 'algorithm', 'digits', 'period', 'verified', 'status', 'userId', 'tenantId']) {
    for (const [path, body] of [['/mfa/enroll', {}], ['/mfa/enroll/confirm', { factorId, code: service.clock.code(secret) }]] as const) {
      const answer = await user.call('POST', path, { ...body, [field]: 'x' })
      t.match(answer.body, { code: 'invalid_request', errors: [{ field, message: 'is unknown' }] }, `${path} ${field}`)
    }
  }
})

t.test('labels hold no control, bidirectional or over-long text', async t => {
  const service = await useService(t)
  const user = service.user()
  for (const label of ['', ' ', 'a\u0000b', 'a\nb', 'a\u202eb', 'a\u2028b', ' a', 'a ', 'x'.repeat(65), '\ud800']) {
    t.equal((await user.call('POST', '/mfa/enroll', { label })).status, 400, encodeURIComponent(label.toWellFormed()).slice(0, 20))
  }
  for (const label of ['Téléphone', '我的手机', '👩‍💻 laptop', "Bob's `; DROP TABLE users; --"]) {
    t.equal((await user.call('POST', '/mfa/enroll', { label })).status, 201, label)
  }
})

t.test('enrolling makes no other token any stronger', async t => {
  const service = await useService(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const before = user.token()
  await user.enroll()
  t.match((await user.call('GET', '/mfa/status', undefined, before)).body.decision, { action: 'verify', reason: 'factor_enrolled' })
  t.equal((await user.call('GET', '/admin/policy', undefined, before)).status, 401)
})
