// What has gone wrong with passkeys elsewhere, tried here: each of these once let a thief in, or locked a user out, in another product.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { administrator } from '../../helpers/administrator.ts'
import { Authenticator, type CredentialJson } from '../../helpers/authenticator.ts'
import { answerChallenge, type EnrolledPasskey, enrollPasskey, PASSKEYS, provePasskey, startPasskey } from '../../helpers/passkeys.ts'
import { type Answer, startService, type User } from '../../helpers/service.ts'

const service = await startService(t, {
  ...PASSKEYS,
  JWT_SESSION_CLAIM: 'sid',
  PASSKEY_RELATED_ORIGINS: 'https://app.example.org',
  PASSKEY_ORIGINS: `${PASSKEYS.PASSKEY_ORIGINS},android:apk-key-hash:5tJ0SsBNmCSkDsLSY1o6g6gcUNXsMyCg0oQQnqLYWuE`
})
const { db } = service

const enrolled = async (traits = {}): Promise<EnrolledPasskey & { user: User }> => {
  const user = service.user({ sid: 's1' })
  return { user, ...await enrollPasskey(user, { authenticator: new Authenticator(traits) }) }
}
const verify = (user: User, credential: unknown, token?: string): Promise<Answer> =>
  user.call('POST', '/mfa/passkeys/verify', { credential }, token)
const change = (credential: CredentialJson, response: Record<string, unknown>): CredentialJson => ({
  ...credential,
  response: { ...credential.response, ...response }
})
const challengeOf = async (user: User, token?: string): Promise<any> =>
  (await user.call('POST', '/mfa/passkeys/challenge', {}, token)).body.options
/** Its cause, as the audit has it, of the last event: there is one a minute. */
const causeOf = async (user: User): Promise<unknown> => {
  const events = (await user.events()).filter(({ action }) => action === 'passkey.refused')
  return events.at(-1)?.details.cause
}

t.test('whatever is refused gets one answer, and the audit the cause', async t => {
  const other = await enrolled()
  const answers = new Map<string, Answer>()
  const refuse = async (cause: string, make: (mine: EnrolledPasskey & { user: User }) => Promise<unknown>): Promise<void> => {
    const mine = await enrolled()
    const answer = await verify(mine.user, await make(mine))
    t.equal(answer.status, 422, cause)
    t.equal(await causeOf(mine.user), cause)
    answers.set(cause, answer)
  }
  await refuse(
    'unknown',
    async ({ user }) =>
      await answerChallenge(other.user, other.authenticator).then(async credential => ({
        ...credential,
        challenge: await challengeOf(user)
      }))
  )
  await refuse(
    'handle',
    ({ user, authenticator }) => answerChallenge(user, authenticator, { userHandle: Buffer.from(randomBytes(16)).toString('base64url') })
  )
  await refuse(
    'challenge',
    async ({ user, authenticator }) => authenticator.get({ ...await challengeOf(user), challenge: randomBytes(56).toString('base64url') })
  )
  await refuse('origin', ({ user, authenticator }) => answerChallenge(user, authenticator, { origin: 'https://evil.example' }))
  await refuse('frame', ({ user, authenticator }) => answerChallenge(user, authenticator, { clientData: { crossOrigin: true } }))
  await refuse('rp', ({ user, authenticator }) => answerChallenge(user, authenticator, { rpId: 'example.org' }))
  await refuse('user', ({ user, authenticator }) => answerChallenge(user, authenticator, { isVerified: false }))
  await refuse('flags', ({ user, authenticator }) => answerChallenge(user, authenticator, { isBackedUp: true }))
  await refuse('signature', async ({ user, authenticator }) => change(await answerChallenge(user, authenticator), { signature: 'AAAA' }))
  await refuse('spent', async ({ user, authenticator }) => {
    const credential = await answerChallenge(user, authenticator)
    t.equal((await verify(user, credential)).status, 200)
    return credential
  })
  await refuse('counter', async ({ user, authenticator }) => {
    t.equal((await provePasskey(user, authenticator, { counter: 10 })).status, 200)
    return await answerChallenge(user, authenticator, { counter: 5 })
  })
  const texts = [...answers.values()].map(({ text }) => text.replace(/urn:request:[0-9a-f-]+/, ''))
  t.equal(new Set(texts).size, 1, 'byte for byte')
  t.match(texts[0], /"code":"code_refused"/)
  t.match(texts[0], /passkey/)
})

t.test('with the victim\'s password, a passkey of one\'s own opens nothing, under whatever name', async t => {
  const victim = await enrolled()
  const thief = await enrolled()
  const options = await challengeOf(victim.user)
  const own = thief.authenticator.get({ ...options, allowCredentials: [{ id: thief.credentialId }] })
  for (
    const credential of [
      own,
      { ...own, id: victim.credentialId, rawId: victim.credentialId },
      change({ ...own, id: victim.credentialId }, { userHandle: null })
    ]
  ) {
    t.equal((await verify(victim.user, credential)).status, 422)
  }
})

t.test('a challenge is of one user, login session and epoch, and of the ceremony that it was made for', async t => {
  const { user, authenticator } = await enrolled()
  const ofOther = await answerChallenge(user, authenticator, {}, user.token({ sid: 's2' }))
  t.equal((await verify(user, ofOther)).status, 422)
  t.equal((await verify(user, ofOther, user.token({ sid: 's2' }))).status, 200, 'it was good where it was asked for')
  t.equal(
    (await verify(user, await answerChallenge(user, authenticator, {}, user.token({ sid: undefined })))).status,
    422,
    'nor is one of no session for each'
  )

  const before = await answerChallenge(user, authenticator)
  const { body: { token } } = await provePasskey(user, authenticator)
  t.equal((await user.call('DELETE', '/mfa/sessions', {}, token)).status, 204)
  t.equal((await verify(user, before)).status, 422, 'signed out everywhere')

  const { factorId, options } = await startPasskey(user, (await provePasskey(user, authenticator)).body.token)
  const asserted = authenticator.get({ ...await challengeOf(user), challenge: options.challenge })
  t.equal((await verify(user, asserted)).status, 422, 'the challenge of a set-up')
  const made = authenticator.create({ ...options, challenge: (await challengeOf(user)).challenge, excludeCredentials: [] })
  t.equal(
    (await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: made })).status,
    401,
    'a further one takes a fresh factor'
  )
  const { body } = await provePasskey(user, authenticator)
  t.equal(
    (await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: made }, body.token)).status,
    422,
    'the challenge of a use'
  )
})

t.test('an answer that came too late, or that counted, is worth nothing to a thief who finds it', async t => {
  const { user, authenticator, factorId } = await enrolled()
  const late = await answerChallenge(user, authenticator)
  const replica = await startService(t, service.env, service.clock)
  // As if it had been issued five minutes ago: the row is what a later clock would compare.
  const credential = await answerChallenge(user, authenticator)
  t.equal((await verify(user, credential)).status, 200)
  t.match(
    await replica.call('POST', '/mfa/passkeys/verify', { token: user.token(), body: { credential } }),
    { status: 422 },
    'on another replica'
  )
  t.equal((await verify(user, late)).status, 422, 'its counter is lower than what has counted since')
  const spent = async (): Promise<bigint[]> =>
    (await db.rows<{ spent: bigint[] }>`SELECT spent FROM factors WHERE tenant = ${user.tenant} AND id = ${factorId}::uuid`)[0]
      ?.spent as bigint[]
  t.equal((await spent()).length, 1)
  // What can be answered no more is forgotten with the next one that counts.
  await db.rows`UPDATE factors SET spent = ARRAY[1, 2, 3]::bigint[] || spent WHERE tenant = ${user.tenant}`
  t.equal((await provePasskey(user, authenticator)).status, 200)
  t.equal((await spent()).length, 2)
})

t.test('so many spent challenges are kept, and then none counts that is older than all of them', async t => {
  const { user, authenticator } = await enrolled({ isEligible: true })
  const early = await answerChallenge(user, authenticator)
  await db
    .rows`UPDATE factors SET spent = (SELECT array_agg((floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) + n)
      FROM generate_series(1, 100) AS n) WHERE tenant = ${user.tenant}`
  t.equal((await verify(user, early)).status, 422)
  t.equal(await causeOf(user), 'spent')
  for (let time = 0; time < 3; time++) t.equal((await provePasskey(user, authenticator)).status, 200)
  t.match(await db.rows`SELECT cardinality(spent) AS spent FROM factors WHERE tenant = ${user.tenant}`, [{ spent: 100 }])
})

t.test('a counter never goes back where a passkey lives on one device, and its owner is told once a day', async t => {
  const { user, authenticator, factorId } = await enrolled()
  for (const [counter, status] of [[10, 200], [5, 422], [10, 422], [0, 422], [11, 200]] as const) {
    t.equal((await provePasskey(user, authenticator, { counter })).status, status, `${counter}`)
  }
  t.match(
    await db.rows`SELECT counter::int FROM factors WHERE tenant = ${user.tenant}`,
    [{ counter: 11 }],
    'the one that was answered, and not one more'
  )
  const suspected = (await user.events()).filter(({ action }) => action === 'passkey.suspected')
  t.match(suspected, [{ outcome: 'failure', factor_kind: 'passkey', details: { factorId } }])
  t.equal(suspected.length, 1)
})

t.test('a passkey that lives on several devices, or does not count, is locked out by no counter', async t => {
  const synced = await enrolled({ isEligible: true, isBackedUp: true })
  for (const counter of [7, 3, 0, 8]) {
    t.equal((await provePasskey(synced.user, synced.authenticator, { counter })).status, 200, `${counter}`)
  }
  const still = await enrolled()
  for (let time = 0; time < 3; time++) t.equal((await provePasskey(still.user, still.authenticator, { counter: 0 })).status, 200)
})

t.test('a passkey may become one that is synced, which the audit has; and never the other way', async t => {
  const { user, authenticator, factorId } = await enrolled()
  const seen = async (): Promise<any> => (await user.call('GET', '/mfa/factors')).body.items[0].passkey.synced
  t.equal(await seen(), false)
  t.equal((await provePasskey(user, authenticator, { isEligible: true, counter: 0 })).status, 200)
  t.equal(await seen(), true)
  t.match((await user.events()).filter(({ action }) => action === 'passkey.accepted'), [{ details: { factorId, synced: true } }])
  t.equal((await provePasskey(user, authenticator)).status, 422)
  t.equal((await provePasskey(user, authenticator, { isEligible: true })).status, 200)
})

t.test('a second passkey leaves the first one good, and is asked for elsewhere than where that is', async t => {
  const { user, authenticator, credentialId } = await enrolled()
  const { token } = (await provePasskey(user, authenticator)).body
  const { factorId, options } = await startPasskey(user, token)
  t.same(options.excludeCredentials.map(({ id }: any) => id), [credentialId])
  t.throws(() => authenticator.create(options), { name: 'InvalidStateError' })
  const second = new Authenticator()
  t.equal((await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential: second.create(options) }, token)).status, 200)
  for (const each of [authenticator, second, authenticator]) t.equal((await provePasskey(user, each)).status, 200)
})

t.test("what a script sends past the browser is refused all the same: the user's own credential once more, or another user's " +
  'of the tenant', async t => {
  const { user, authenticator, credentialId } = await enrolled()
  const { token } = (await provePasskey(user, authenticator)).body
  const { factorId, options } = await startPasskey(user, token)
  class Stubborn extends Authenticator {
    override create (...[options, lies]: Parameters<Authenticator['create']>): CredentialJson {
      return super.create({ ...options, excludeCredentials: [] }, lies)
    }
  }
  const copy = new Stubborn({ id: Buffer.from(credentialId, 'base64url') })
  const confirm = (of: User, factorId: string, credential: unknown, token?: string): Promise<Answer> =>
    of.call('POST', '/mfa/passkeys/confirm', { factorId, credential }, token)
  t.match(await confirm(user, factorId, copy.create(options), token), { status: 422, body: { code: 'code_refused' } })
  t.equal(await causeOf(user), 'known')
  t.equal((await confirm(user, factorId, new Authenticator().create(options), token)).status, 200, 'the set-up is still there')

  const neighbour = service.user({ tenant: user.tenant })
  const started = await startPasskey(neighbour)
  for (let time = 0; time < 5; time++) t.equal((await confirm(neighbour, started.factorId, copy.create(started.options))).status, 422)
  t.equal((await confirm(neighbour, started.factorId, copy.create(started.options))).status, 404, 'it counts as any refused answer')
  const stranger = service.user()
  t.equal((await enrollPasskey(stranger, { authenticator: copy })).credentialId, credentialId, 'in another tenant it opens nothing')
})

t.test('a thief with the password alone changes no passkey and adds none', async t => {
  const { user, factorId } = await enrolled()
  const stepUp = { status: 401, body: { code: 'step_up_required' } }
  const login = user.token({ sid: 's9' })
  t.match(await user.call('POST', '/mfa/passkeys', {}, login), stepUp)
  t.match(await user.call('PATCH', `/mfa/factors/${factorId}`, { label: 'x' }, login), stepUp)
  t.match(await user.call('DELETE', `/mfa/factors/${factorId}`, {}, login), stepUp)
})

t.test('origins are the configured ones: pages, related pages and apps, wherever this service is called', async t => {
  const { user, authenticator } = await enrolled()
  for (const origin of ['https://app.example.org', 'android:apk-key-hash:5tJ0SsBNmCSkDsLSY1o6g6gcUNXsMyCg0oQQnqLYWuE']) {
    t.equal((await provePasskey(user, authenticator, { origin })).status, 200, origin)
  }
  for (
    const origin of [
      'https://example.com',
      'https://www.example.com',
      'android:apk-key-hash:6tJ0SsBNmCSkDsLSY1o6g6gcUNXsMyCg0oQQnqLYWuE',
      'null',
      ''
    ]
  ) t.equal((await provePasskey(user, authenticator, { origin })).status, 422, origin)
  const credential = await answerChallenge(user, authenticator, { origin: 'https://evil.example' })
  const headers = { origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' }
  t.equal(
    (await service.call('POST', '/mfa/passkeys/verify', { token: user.token(), headers, body: { credential } })).status,
    422,
    'what the request says of itself plays no part'
  )
  const good = await answerChallenge(user, authenticator)
  t.equal(
    (await service.call('POST', '/mfa/passkeys/verify', {
      token: user.token(),
      headers: { 'x-forwarded-host': 'api.other.example' },
      body: { credential: good }
    })).status,
    200
  )
})

t.test('what is not of the shape that browsers make is 400, and what does not open 422', async t => {
  const { user, authenticator, credentialId } = await enrolled()
  const good = await answerChallenge(user, authenticator)
  const malformed: unknown[] = [
    undefined, null, 'x', [], {}, { ...good, id: '' }, { ...good, id: 7 }, { ...good, type: 'password' }, { ...good, response: null },
    ...['clientDataJSON', 'authenticatorData', 'signature'].flatMap(
      name => [change(good, { [name]: '' }), change(good, { [name]: 7 }), change(good, { [name]: undefined })]
    ),
    change(good, { userHandle: 7 })
  ]
  for (const credential of malformed) {
    const answer = await verify(user, credential)
    t.match(
      answer,
      { status: 400, body: { code: 'invalid_request', errors: [{ field: /^credential/ }] } },
      JSON.stringify(credential)?.slice(0, 60)
    )
  }
  for (const id of ['x', '!', `${credentialId}=`, 'A'.repeat(1400), '\u0000']) {
    t.equal((await verify(user, { ...good, id })).status, 422, id.slice(0, 5))
  }
  for (const text of ['x', '{}', Buffer.from('null').toString('base64url'), Buffer.from('['.repeat(3000)).toString('base64url')]) {
    t.equal((await verify(user, change(good, { clientDataJSON: text }))).status, 422)
    t.equal((await verify(user, change(good, { authenticatorData: text }))).status, 422)
  }
  const { factorId, options } = await startPasskey(user, (await verify(user, good)).body.token)
  const token = (await provePasskey(user, authenticator)).body.token
  const made = new Authenticator().create(options)
  const confirm = (credential: unknown): Promise<Answer> => user.call('POST', '/mfa/passkeys/confirm', { factorId, credential }, token)
  for (
    const credential of [
      { ...made, id: '' },
      change(made, { attestationObject: '' }),
      change(made, { clientDataJSON: 7 }),
      change(made, { transports: 'usb' })
    ]
  ) t.equal((await confirm(credential)).status, 400)
  const deep = Buffer.concat([Buffer.alloc(9000, 0x81), Buffer.of(0)]).toString('base64url')
  t.equal((await confirm(change(made, { attestationObject: deep }))).status, 422, 'nested deeper than a stack is high')
  t.equal((await confirm({ ...made, more: { of: 'what browsers add' } })).status, 200)
})

t.test('an id has 1023 bytes at most', async t => {
  const { user, authenticator } = await enrolled({ idBytes: 1023 })
  t.equal((await provePasskey(user, authenticator)).status, 200)
  const other = service.user()
  const { factorId, options } = await startPasskey(other)
  t.equal(
    (await other.call('POST', '/mfa/passkeys/confirm', { factorId, credential: new Authenticator({ idBytes: 1024 }).create(options) }))
      .status,
    422
  )
})

t.test('the policy may ask for a factor, and a passkey alone is one; the last one stays while it asks', async t => {
  const { admin, token } = await administrator(service)
  const put = await service.call('PUT', '/admin/policy', { token, body: { enforcement: 'required' }, headers: { 'if-match': '"0"' } })
  t.equal(put.status, 200, put.text)
  const user = service.user({ tenant: admin.tenant })
  t.match((await user.call('GET', '/mfa/status')).body.decision, { action: 'enroll', reason: 'required_by_policy' })
  const passkey = await enrollPasskey(user)
  t.match((await user.call('GET', '/mfa/status', undefined, passkey.token)).body, { enrolled: true, recoveryCodes: { total: 10 } })
  const { body } = await provePasskey(user, passkey.authenticator)
  t.match(await user.call('DELETE', `/mfa/factors/${passkey.factorId}`, {}, body.token), {
    status: 409,
    body: { code: 'required_by_policy' }
  })
})
