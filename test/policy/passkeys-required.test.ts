// The policy that asks for passkeys, over HTTP: who may set it, what it asks of users where, and how they come in again.
import t from 'tap'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { type Answer, claimsOf, type Service, startService, type User } from '../helpers/service.ts'
import { newTenant, startTrusting, TestIssuer } from '../helpers/issuers.ts'
import { until } from '../helpers/until.ts'

const SESSIONS = { JWT_SESSION_CLAIM: 'sid' }
const PAGES = { ENROLL_PAGE_URL: 'https://app.example.com/set-up', VERIFY_PAGE_URL: 'https://app.example.com/code' }
const APPLICATION = { MFA_APPLICATION_AUDIENCES: 'billing' }
const service = await startService(t, { ...PASSKEYS, ...SESSIONS, ...PAGES, ...APPLICATION })

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString()
const REQUIRED = { enforcement: 'required', phishingResistant: 'required' }

interface Administrator { admin: User, token: string, prove: () => Promise<string>, put: (change: object) => Promise<Answer> }

/** With a passkey, and a proof of it. */
async function administrator (policy?: object, of: Service = service): Promise<Administrator> {
  const admin = of.user({ roles: ['mfa:admin'] })
  const { authenticator } = await enrollPasskey(admin)
  const prove = async (): Promise<string> => (await provePasskey(admin, authenticator)).body.token
  const token = await prove()
  const put = (change: object): Promise<Answer> => admin.call('PUT', '/admin/policy', change, token)
  if (policy !== undefined) t.match(await put(policy), { status: 200, body: policy })
  return { admin, token, prove, put }
}

const decision = async (user: User, token?: string): Promise<any> => (await user.call('GET', '/mfa/status', undefined, token)).body.decision

t.test('who binds themselves to passkeys proves one, now or for later, and who does not needs none', async t => {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const put = (change: object, by = token): Promise<Answer> => admin.call('PUT', '/admin/policy', change, by)
  const binding = [
    { phishingResistant: 'administrators' },
    { phishingResistant: 'administrators', phishingResistantFrom: inDays(30) },
    REQUIRED
  ]
  for (const change of binding) {
    t.match(await put(change), { status: 409, body: { code: 'not_enrolled', detail: /no passkey/ } }, JSON.stringify(change))
  }
  t.match((await put({ ...REQUIRED, groups: ['sales'] })).body, { phishingResistant: 'required', groups: ['sales'] }, 'others alone')
  t.match(await put({ groups: null }), { status: 409, body: { code: 'not_enrolled' } }, 'by another field, too')
  const { authenticator } = await enrollPasskey(admin, { token })
  t.match(await put({ groups: null }), { status: 401, body: { code: 'step_up_required', action: 'verify', acr: 'phr' } })
  const { body: { token: proved } } = await provePasskey(admin, authenticator)
  t.match(await put({ groups: null, phishingResistantFrom: inDays(30) }, proved), { status: 200, body: { groups: null } })
  t.match((await put({ gracePeriodDays: 3 })).body, { gracePeriodDays: 3 }, 'who is bound already, and later, may change the rest')
  t.match(await put({ phishingResistantFrom: null }), { status: 401, body: { acr: 'phr' } }, 'but not have it sooner')
  t.match((await put({ phishingResistant: 'off' })).body, { phishingResistant: 'off' }, 'and may end it')
  t.match(
    (await admin.events()).filter(({ action }) => action === 'policy.changed').at(-1)?.details,
    { before: { phishingResistant: 'required' }, after: { phishingResistant: 'off' } }
  )
})

t.test('where there are no passkeys, no policy asks for them', async t => {
  const plain = await startService(t)
  const admin = plain.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  for (const [method, path] of [['PUT', '/admin/policy'], ['POST', '/admin/policy/preview']] as const) {
    for (const phishingResistant of ['administrators', 'required']) {
      t.match(await admin.call(method, path, { phishingResistant, groups: ['x'] }, token), {
        status: 409,
        body: { code: 'not_offered', errors: [{ field: 'phishingResistant' }] }
      })
    }
    t.equal((await admin.call(method, path, { phishingResistant: 'off', phishingResistantFrom: inDays(1) }, token)).status, 200)
  }
})

t.test('administrators who need a passkey administer with it alone, and without one there is nothing to prove', async t => {
  const { admin, put } = await administrator()
  const colleague = service.user({ tenant: admin.tenant, roles: ['mfa:admin'] })
  const { secret } = await colleague.enroll()
  const read = async (token: string): Promise<Answer> => await colleague.call('GET', '/admin/policy', undefined, token)
  t.equal((await read(await colleague.verify(secret))).status, 200)
  await put({ phishingResistant: 'administrators', phishingResistantFrom: inDays(1) })
  const code = await colleague.verify(secret)
  t.equal((await read(code)).status, 200, 'before the time')
  await put({ phishingResistantFrom: null })
  t.match(await read(code), { status: 409, body: { code: 'not_enrolled', detail: /no passkey/ } })
  await put({ phishingResistantFrom: inDays(1) })
  const own = await enrollPasskey(colleague, { token: code })
  await put({ phishingResistantFrom: null })
  const refused = await read(code)
  t.match(refused, { status: 401, body: { code: 'step_up_required', action: 'verify', acr: 'phr' } })
  t.match(refused.headers.get('www-authenticate'), /acr_values="phr"/)
  t.equal((await read((await provePasskey(colleague, own.authenticator)).body.token)).status, 200)
  const auditor = service.user({ tenant: admin.tenant, roles: ['mfa:auditor'] })
  const { token } = await auditor.enroll()
  t.match(await auditor.call('GET', '/admin/policy', undefined, token), { status: 409, body: { detail: /no passkey/ } }, 'of every role')
  const machine = service.user({ tenant: admin.tenant, roles: ['mfa:auditor'], gty: 'client-credentials' })
  t.equal((await machine.call('GET', '/admin/policy')).status, 403, "and a client's own token opens what it did before")
})

t.test('who has no passkey by then sets one up after a recovery, and a code that was phished sets up none', async t => {
  const { admin, put } = await administrator()
  const user = service.user({ tenant: admin.tenant })
  const { secret, recoveryCodes } = await user.enroll()
  await put({ ...REQUIRED, phishingResistantFrom: inDays(1) })
  t.match(await decision(user, await user.verify(secret)), { action: 'allow', reason: 'mfa_verified', deadline: /^20/ })
  await put({ phishingResistantFrom: null })
  t.same(await decision(user), { action: 'enroll', reason: 'phishing_resistant_required' })
  const code = await user.verify(secret)
  t.same(await decision(user, code), { action: 'enroll', reason: 'phishing_resistant_required' }, 'whatever was proved')
  for (const token of [code, user.token()]) {
    t.match(await user.call('POST', '/mfa/passkeys', {}, token), {
      status: 401,
      body: { code: 'step_up_required', action: 'recovery', detail: /recovery code/ }
    })
    t.match(await user.call('POST', '/mfa/recovery/codes', {}, token), { status: 401, body: { action: 'recovery' } })
    t.match(await user.call('POST', '/mfa/enroll', {}, token), { status: 401, body: { action: 'recovery' } })
  }
  const { body: { token: recovered } } = await user.call('POST', '/mfa/recovery', { code: (recoveryCodes as string[])[0] })
  t.same(await decision(user, recovered), { action: 'enroll', reason: 'phishing_resistant_required' }, 'a recovery counts for that alone')
  const { authenticator, token: setUp } = await enrollPasskey(user, { token: recovered })
  t.same(await decision(user, setUp), { action: 'verify', reason: 'phishing_resistant_required', acr: 'phr' }, 'a set-up proves nothing')
  const { body: { token } } = await provePasskey(user, authenticator)
  t.same(await decision(user, token), { action: 'allow', reason: 'mfa_verified' })
})

t.test("an administrator's code sets up the first passkey, and changes nothing else", async t => {
  const { admin, put, token } = await administrator()
  const user = service.user({ tenant: admin.tenant })
  const { factorId } = await user.enroll()
  await put(REQUIRED)
  const { body: { code } } = await admin.call('POST', `/admin/users/${(await user.row()).id}/bypass`, { reason: 'No passkey yet' }, token)
  const { body: { token: bypass } } = await user.call('POST', '/mfa/recovery', { code })
  t.match(await user.call('DELETE', `/mfa/factors/${factorId}`, {}, bypass), { status: 401, body: { action: 'recovery' } })
  await enrollPasskey(user, { token: bypass })
  t.match(await user.call('DELETE', `/mfa/factors/${factorId}`, {}, bypass), { status: 401, body: { action: 'verify', acr: 'phr' } })
})

t.test('who has a passkey changes factors with it or after a recovery, and not with a code', async t => {
  const { admin, put } = await administrator()
  const user = service.user({ tenant: admin.tenant })
  const { secret, factorId, recoveryCodes, token } = await user.enroll()
  const { authenticator } = await enrollPasskey(user, { token })
  await put(REQUIRED)
  const calls: Array<[string, string, object]> = [
    ['POST', '/mfa/passkeys', {}],
    ['POST', '/mfa/enroll', {}],
    ['PATCH', `/mfa/factors/${factorId}`, { label: 'Mine' }],
    ['POST', '/mfa/recovery/codes', {}]
  ]
  const code = await user.verify(secret)
  for (const [method, path, body] of calls) {
    t.match(await user.call(method, path, body, code), { status: 401, body: { action: 'verify', acr: 'phr' } }, path)
  }
  const { body: { token: recovered } } = await user.call('POST', '/mfa/recovery', { code: (recoveryCodes as string[])[1] })
  const { body: { token: proved } } = await provePasskey(user, authenticator)
  for (const by of [recovered, proved]) {
    for (const [method, path, body] of calls) t.match((await user.call(method, path, body, by)).status, /^20/, path)
    await user.endWait('renew')
  }
})

t.test('the last passkey that can be used stays', async t => {
  const { admin, put } = await administrator()
  const user = service.user({ tenant: admin.tenant })
  const { factorId: totp, token } = await user.enroll()
  const { authenticator, factorId: first } = await enrollPasskey(user, { token })
  const { factorId: second } = await enrollPasskey(user, { token })
  await put(REQUIRED)
  const prove = async (): Promise<string> => (await provePasskey(user, authenticator)).body.token
  const remove = async (factorId: string): Promise<Answer> => await user.call('DELETE', `/mfa/factors/${factorId}`, {}, await prove())
  t.equal((await remove(second)).status, 200)
  t.match(await remove(first), { status: 409, body: { code: 'required_by_policy', detail: /passkey/ } })
  t.equal((await remove(totp)).status, 200, 'of a code there need be none')
  await put({ phishingResistantFrom: inDays(1) })
  await put({ phishingResistant: 'off' })
  const third = await user.enroll(await prove())
  t.equal((await remove(first)).status, 204)
  t.ok(third)
})

t.test('a gateway lets no code pass, at once after the change, on every replica', async t => {
  const replica = await startService(t, service.env, service.clock)
  const { admin, put } = await administrator()
  const ask = (token: string, of: Service = service): Promise<Answer> => of.call('GET', '/mfa/authorize', { token })
  const user = service.user({ tenant: admin.tenant, sid: 's1' })
  const { secret, token: code } = await user.enroll()
  const owner = service.user({ tenant: admin.tenant, sid: 's2' })
  const { authenticator } = await enrollPasskey(owner)
  const { body: { token: proved } } = await provePasskey(owner, authenticator)
  for (const of of [service, replica]) for (const token of [code, user.token(), proved]) t.equal((await ask(token, of)).status, 200)
  await put(REQUIRED)
  for (const of of [service, replica]) {
    for (const token of [code, user.token()]) {
      await until(async () => (await ask(token, of)).status === 403)
      const refused = await ask(token, of)
      t.match(refused.body, { code: 'enrollment_required' })
      t.equal(refused.headers.get('x-mfa-location'), 'https://app.example.com/set-up?kind=passkey')
    }
    const answer = await ask(proved, of)
    t.same([answer.status, answer.headers.get('x-mfa-acr')], [200, 'mfa'], 'who did not ask is told mfa')
    t.equal((await ask(owner.token(), of)).status, 200, 'what the session remembers')
  }
  const other = owner.token({ sid: 's3' })
  const refused = await ask(other)
  t.match(refused, { status: 401, body: { code: 'step_up_required', acr: 'phr' } })
  t.equal(refused.headers.get('x-mfa-location'), 'https://app.example.com/code?acr=phr')
  const outsider = await service.user().enroll()
  t.equal((await ask(outsider.token)).status, 200, 'another tenant is as before')
  await put({ phishingResistant: 'off' })
  await until(async () => (await ask(await user.verify(secret))).status === 200)
})

t.test('a gateway counts only a passkey for the age of what was proved, too', async t => {
  const { admin } = await administrator(REQUIRED)
  const user = service.user({ tenant: admin.tenant, sid: 's1' })
  const { authenticator, token: setUp } = await enrollPasskey(user)
  const { body: { token: proved } } = await provePasskey(user, authenticator)
  service.clock.advance(400)
  const totp = await user.enroll(proved)
  const ask = async (token: string): Promise<number> => (await service.call('GET', '/mfa/authorize?maxAge=300', { token })).status
  // The code is of just now, and the passkey is not: seen once the replica has read the policy.
  await until(async () => await ask(totp.token) === 401)
  t.ok(setUp)
  t.equal(await ask((await provePasskey(user, authenticator)).body.token), 200)
})

t.test('an application gets no token by what does not count', async t => {
  const { admin, put } = await administrator()
  const user = service.user({ tenant: admin.tenant, sid: 's1' })
  const { secret, recoveryCodes, token } = await user.enroll()
  await put(REQUIRED)
  const audience = 'billing'
  const code = service.clock.code(secret)
  const refused = { status: 401, body: { code: 'step_up_required', acr: 'phr', detail: /without `audience`/ } }
  t.match(await user.call('POST', '/mfa/verify', { code, audience }), refused)
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, 'and the code was not spent')
  t.match(await user.call('POST', '/mfa/recovery', { code: (recoveryCodes as string[])[0], audience }), refused)
  t.match(await user.call('POST', '/mfa/token', { audience }, token), { status: 409, body: { code: 'not_enrolled', detail: /no passkey/ } })
  t.equal((await user.call('POST', '/mfa/token', {}, token)).status, 200, 'for this service it gets one')
  const { body: { token: recovered } } = await user.call('POST', '/mfa/recovery', { code: (recoveryCodes as string[])[0] })
  const { body: { factorId } } = await user.call('POST', '/mfa/passkeys', {}, recovered)
  t.match(await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: {}, audience }, recovered), { status: 400 })
  const { authenticator } = await enrollPasskey(user, { token: recovered })
  t.match(await user.call('POST', '/mfa/token', { audience }, recovered), { status: 401, body: { code: 'step_up_required', acr: 'phr' } })
  const proof = await provePasskey(user, authenticator, {}, undefined, { audience })
  t.equal(claimsOf(proof.body.token).acr, 'mfa', 'as it did not ask for phr')
  const renewed = await user.call('POST', '/mfa/token', { audience })
  t.same([renewed.status, claimsOf(renewed.body.token).acr], [200, 'mfa'])
})

t.test("an identity provider's own MFA that is phishing-resistant lets pass, and any other does not", async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const mfa = { amr: 'mfa', maxAgeSeconds: 3600, phishingResistant: { amr: ['fido', 'hwk'], acr: 'phr' } }
  const floor = '{"enforcement":"required","phishingResistant":"required"}'
  const trusting = await startTrusting(t, [{ issuer: issuer.iss, audience: 'mfa', jwksUrl: issuer.jwksUrl, mfa }], {
    ...PASSKEYS,
    ...APPLICATION,
    POLICY_FLOOR: floor
  })
  const table: Array<[string[], string | undefined, string]> = [
    [['pwd', 'mfa', 'fido'], 'phr', 'idp_mfa'],
    [['pwd', 'mfa', 'fido'], undefined, 'phishing_resistant_required'],
    [['pwd', 'mfa', 'otp'], 'phr', 'phishing_resistant_required'],
    [['pwd', 'fido'], 'phr', 'phishing_resistant_required'],
    [['pwd'], undefined, 'phishing_resistant_required']
  ]
  for (const [amr, acr, reason] of table) {
    const token = issuer.sign(trusting.clock, { tenant: newTenant(), amr, acr })
    t.equal((await trusting.call('GET', '/mfa/status', { token })).body.decision.reason, reason, `${amr.join()} ${String(acr)}`)
    const isAllowed = reason === 'idp_mfa'
    const asked = await trusting.call('GET', '/mfa/authorize', { token })
    t.same([asked.status, asked.headers.get('x-mfa-acr')], isAllowed ? [200, 'idp-mfa'] : [403, null])
    const renewed = await trusting.call('POST', '/mfa/token', { token, body: { audience: 'billing' } })
    t.same([renewed.status, renewed.body.acr], isAllowed ? [200, 'idp-mfa'] : [409, undefined])
  }
})

t.test('report-only says so, and the audit has once who would be asked: not who has a passkey', async t => {
  const { admin } = await administrator({ enforcement: 'report_only', phishingResistant: 'required' })
  const user = service.user({ tenant: admin.tenant })
  const { token } = await user.enroll()
  for (const each of [token, user.token(), token]) {
    t.match(await decision(user, each), { wouldBe: { action: 'enroll', reason: 'phishing_resistant_required' } })
  }
  const owner = service.user({ tenant: admin.tenant })
  await enrollPasskey(owner)
  t.match(await decision(owner), { action: 'verify', reason: 'factor_enrolled', wouldBe: { action: 'verify', acr: 'phr' } })
  const would = (await admin.events()).filter(({ action }) => action === 'policy.would_enroll')
  // Both are seen before they have a factor, as any user is.
  const { id } = await user.row()
  t.same(would.map(({ subject, details }) => [subject === id, details.reason]), [
    [true, 'phishing_resistant_required'],
    [false, 'phishing_resistant_required']
  ])
})

t.test('a preview counts who needs a passkey, and the list names who must set one up', async t => {
  const { admin, put, token } = await administrator()
  const come = async (sub: string, claims: object = {}): Promise<User> => {
    const user = service.user({ tenant: admin.tenant, sub, groups: ['sales'], ...claims })
    await user.call('GET', '/mfa/status')
    return user
  }
  await come('nothing')
  await (await come('totp')).enroll()
  await enrollPasskey(await come('passkey'))
  await (await come('guest', { groups: ['guests'] })).enroll()
  await (await come('sso', { accounts: ['sso'] })).enroll()
  const preview = async (draft: object): Promise<any> => (await admin.call('POST', '/admin/policy/preview', draft, token)).body
  const later = { ...REQUIRED, phishingResistantFrom: inDays(3) }
  t.match(await preview(later), {
    users: 6,
    enrolled: 5,
    mustEnroll: 1,
    exempt: 0,
    needPasskey: 3,
    byGroup: { sales: { needPasskey: 2 }, guests: { needPasskey: 1 } }
  })
  const now = await preview({ ...REQUIRED, groups: ['sales'] })
  t.match(now, { users: 6, enrolled: 4, mustEnroll: 2, needPasskey: 2, byGroup: { guests: { needPasskey: 0 } } })
  t.same(now.sample.map(({ subject }: { subject: string }) => subject).sort(), ['nothing', 'totp'])
  t.match(await preview({ phishingResistant: 'administrators' }), { mustEnroll: 0, needPasskey: 0 })
  t.match(await preview({}), { needPasskey: 0 })

  const named = async (query: string): Promise<string[]> =>
    (await admin.call('GET', `/admin/users?${query}`, undefined, token)).body.items.map(({ subject }: any) => subject).sort()
  await put({ ...later, groups: ['sales'] })
  t.same(await named('status=must_enroll'), ['nothing'])
  t.same(await named(`deadlineBefore=${inDays(4)}`), ['nothing', 'totp'])
  t.same(await named(`deadlineBefore=${inDays(4)}&status=enrolled`), ['totp'])
  t.same(await named(`deadlineBefore=${inDays(2)}`), ['nothing'])
  await put({ phishingResistantFrom: null })
  t.same(await named('status=must_enroll'), ['nothing', 'totp'])
  t.same(await named('status=must_enroll&group=guests'), [])
  const { body: { items: [totp] } } = await admin.call('GET', '/admin/users?subject=totp', undefined, token)
  t.same(totp.decision, { action: 'enroll', reason: 'phishing_resistant_required' })
  t.same((await admin.call('GET', `/admin/users/${totp.userId as string}`, undefined, token)).body.decision, totp.decision)
})

t.test('passkeys of a domain that is not configured any more do not count, and the policy still binds', async t => {
  const { admin } = await administrator(REQUIRED)
  const user = service.user({ tenant: admin.tenant })
  await enrollPasskey(user)
  t.match(await decision(user), { action: 'verify', acr: 'phr' })
  for (const [PASSKEY_RP_ID, PASSKEY_ORIGINS] of [['example.org', 'https://example.org'], [undefined, undefined]]) {
    const moved = await startService(t, { ...service.env, PASSKEY_RP_ID, PASSKEY_ORIGINS }, service.clock)
    t.same((await moved.call('GET', '/mfa/status', { token: user.token() })).body.decision, {
      action: 'enroll',
      reason: 'phishing_resistant_required'
    })
  }
})
