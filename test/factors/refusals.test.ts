// A refusal tells nothing. And it costs attempts only of the user who proved the first factor.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { generateCode } from '../../src/factors/recovery-codes/recovery-code.ts'
import { type Answer, type User, signToken } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t, { THROTTLE_WAITS: '0' })
const { clock } = service

/** All that an answer says, but for the id of its request and the time. */
const bytesOf = ({ status, text, headers }: Answer): object => ({
  status,
  text: text.replace(/urn:request:[\w-]+/, ''),
  headers: Object.fromEntries([...headers].filter(([name]) => name !== 'x-request-id' && name !== 'date'))
})

t.test("wrong, replayed, expired, used, another's, of another kind: the refusals of one kind of code are the same bytes, and " +
  'say what helps', async t => {
  const user = service.user()
  const { secret, recoveryCodes, token } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  const neighbour = service.user({ tenant: user.tenant })
  const theirs = await neighbour.enroll()
  const notEnrolled = service.user()
  await notEnrolled.call('GET', '/mfa/status')
  const newcomer = service.user()
  const { body: started } = await newcomer.call('POST', '/mfa/enroll')
  const spent = clock.code(secret)
  await user.call('POST', '/mfa/verify', { code: spent })
  const [used, live] = recoveryCodes as [string, string]
  await user.call('POST', '/mfa/recovery', { code: used })

  const verify = (who: User, body: object): Promise<Answer> => who.call('POST', '/mfa/verify', body)
  const recover = (who: User, code: string): Promise<Answer> => who.call('POST', '/mfa/recovery', { code })
  const wrong = clock.wrongCode(secret)
  const reference = bytesOf(await verify(user, { code: wrong }))
  t.match(reference, {
    status: 422,
    text: /"detail":"[^"]*next code[^"]*date and time of the phone to automatic\.".*"code":"code_refused"/
  })
  const others: Array<[string, Promise<Answer>]> = [
    ['replayed', verify(user, { code: spent })],
    ['older than an accepted one', verify(user, { code: clock.code(secret, -1) })],
    ['of a step that is over', verify(user, { code: clock.code(secret, -5) })],
    ['of another user', verify(user, { code: clock.code(theirs.secret) })],
    ['with another user\'s factor id', verify(user, { code: clock.code(theirs.secret), factorId: theirs.factorId })],
    ['with a factor id that no user has', verify(user, { code: clock.code(secret, 1), factorId: randomUUID() })],
    ['of a pending factor', verify(user, { code: clock.code(pending.secret) })],
    ['with a pending factor\'s id', verify(user, { code: clock.code(pending.secret), factorId: pending.factorId })],
    [
      'wrong at confirm',
      newcomer.call('POST', '/mfa/enroll/confirm', { factorId: started.factorId, code: clock.wrongCode(started.secret) })
    ]
  ]
  for (const [name, answer] of others) t.same(bytesOf(await answer), reference, name)

  const ofRecovery = bytesOf(await recover(user, used))
  t.match(ofRecovery, {
    status: 422,
    text: /"detail":"Use another recovery code\. Each works once\. [^"]*typing errors[^"]*".*"code":"code_refused"/
  })
  const recoveries: Array<[string, Promise<Answer>]> = [
    ['a recovery code that never was', recover(user, generateCode(0))],
    ['of a slot that never was', recover(user, generateCode(31))],
    ['mistyped', recover(user, `${live.slice(0, -1)}${live.endsWith('Z') ? 'Y' : 'Z'}`)],
    ['another user\'s recovery code', recover(user, theirs.recoveryCodes?.[1] as string)],
    ['a recovery code without a factor', recover(notEnrolled, live)]
  ]
  for (const [name, answer] of recoveries) t.same(bytesOf(await answer), ofRecovery, name)
  t.equal((await recover(user, live)).status, 200)
})

t.test('who has no second factor is told so, whatever the code is, and it costs nothing', async t => {
  const notEnrolled = service.user()
  const newcomer = service.user()
  const { body: started } = await newcomer.call('POST', '/mfa/enroll')
  const { factorId } = await service.user().enroll()
  for (
    const [who, body] of [[notEnrolled, { code: '000000' }], [notEnrolled, { code: '000000', factorId }], [newcomer, {
      code: clock.code(started.secret)
    }], [newcomer, { code: clock.code(started.secret), factorId: started.factorId }]] as const
  ) {
    t.match(await who.call('POST', '/mfa/verify', body), { status: 409, body: { code: 'not_enrolled', detail: /POST \/mfa\/enroll/ } })
  }
  for (const who of [notEnrolled, newcomer]) t.same((await who.events()).filter(({ action }) => action.startsWith('totp.')), [])
  for (let wrong = 0; wrong < 5; wrong++) {
    await newcomer.call('POST', '/mfa/enroll/confirm', { factorId: started.factorId, code: clock.wrongCode(started.secret) })
  }
  t.equal((await newcomer.call('POST', '/mfa/verify', { code: '000000' })).status, 409, 'after set-ups that failed, too')
})

t.test('a recovery code is no TOTP code, and the other way round', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  t.equal((await user.call('POST', '/mfa/verify', { code: recoveryCodes?.[0] })).status, 400)
  t.equal((await user.call('POST', '/mfa/recovery', { code: clock.code(secret) })).status, 400)
  t.equal((await user.call('POST', '/mfa/recovery', { code: clock.code(secret).padStart(16, '0') })).status, 422)
})

t.test('without a user\'s first factor no one burns their attempts', async t => {
  const victim = service.user()
  const { secret, factorId, recoveryCodes } = await victim.enroll()
  const { body: pending } = await victim.call('POST', '/mfa/enroll', {}, await victim.verify(secret))
  const wrong = clock.wrongCode(secret)
  const now = clock.seconds
  const claims = { iss: 'https://id.test', aud: 'mfa', sub: victim.sub, tenant: victim.tenant, auth_time: now, iat: now, exp: now + 900 }
  const strangers: Array<[string, string | undefined]> = [
    ['no token', undefined],
    ['a bad signature', signToken(claims, {}, 'f'.repeat(48))],
    ['no signature', `${signToken(claims).split('.').slice(0, 2).join('.')}.`],
    ['an expired token', signToken({ ...claims, exp: now - 61 })],
    ['a token for another audience', signToken({ ...claims, aud: 'other' })],
    ['another issuer', signToken({ ...claims, iss: 'https://other.test' })],
    ['the same subject of another tenant', signToken({ ...claims, tenant: `${victim.tenant}-b` })],
    ['another user', service.user({ tenant: victim.tenant }).token()]
  ]
  for (const [name, token] of strangers) {
    const calls: Array<[string, object]> = [
      ['/mfa/verify', { code: wrong }],
      ['/mfa/verify', { code: wrong, factorId }],
      ['/mfa/recovery', { code: recoveryCodes?.[2] }],
      ['/mfa/recovery', { code: generateCode(1) }],
      ['/mfa/enroll/confirm', { factorId: pending.factorId, code: clock.code(pending.secret) }]
    ]
    for (const [path, body] of calls) {
      const { status } = await service.call('POST', path, { ...(token !== undefined && { token }), body })
      t.ok([401, 404, 409, 422].includes(status), `${name}: ${path} ${status}`)
    }
  }
  const { id } = await victim.row()
  const rows = await service.db.rows<
    { failures: number, recent: Date[] }
  >`SELECT failures, recent FROM throttles WHERE tenant = ${victim.tenant} AND user_id = ${id}::uuid AND kind <> 'enroll'`
  t.same(rows, [{ failures: 0, recent: [] }])
  t.equal((await victim.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
  t.equal((await victim.call('POST', '/mfa/recovery', { code: recoveryCodes?.[2] })).status, 200)
})

t.test('without a first factor no code opens anything, and nothing is written', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  const before = await user.events()
  for (const [path, code] of [['/mfa/verify', clock.code(secret)], ['/mfa/recovery', recoveryCodes?.[0]]] as const) {
    t.match(await service.call('POST', path, { body: { code } }), { status: 401, body: { code: 'invalid_token' } })
  }
  t.same(await user.events(), before)
})
