import t from 'tap'
import { claimsOf, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

t.test('a recovery code works once, in any spelling, and leaves a weaker token', async t => {
  const service = await useService(t)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const [first, second, third] = recoveryCodes as [string, string, string]
  const { status, body } = await user.call('POST', '/mfa/recovery', { code: first })
  t.equal(status, 200)
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'remaining', 'token', 'tokenType'])
  t.match(body, { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'], remaining: 9 })
  t.notOk(claimsOf(body.token).amr.includes('otp'))
  t.equal((await user.call('POST', '/mfa/recovery', { code: first })).status, 422)
  t.equal((await user.call('POST', '/mfa/recovery', { code: second.toLowerCase().replaceAll('-', ' ') })).status, 200)
  t.equal(
    (await user.call('POST', '/mfa/recovery', { code: third.replaceAll('-', '').replaceAll('0', 'o').replaceAll('1', 'l') })).body
      .remaining,
    7
  )
  // As it comes out of a document, a chat, a password manager, or an input method.
  const wide = (code: string): string => code.replace(/[!-~]/g, character => String.fromCharCode(character.charCodeAt(0) + 0xFEE0))
  const spellings: Array<(code: string) => string> = [
    code => code.replaceAll('-', '\u2013'),
    code => code.replaceAll('-', ' \u2212 '),
    code => `\u200B${code.replaceAll('-', '\u00A0')}\u2060`,
    code => wide(code.toLowerCase()).replaceAll('０', 'Ｏ'),
    code => code.replaceAll('-', '').replace(/\d/g, digit => String.fromCodePoint(0x6F0 + Number(digit)))
  ]
  for (const [index, spell] of spellings.entries()) {
    const code = spell(recoveryCodes?.[3 + index] as string)
    t.match(await user.call('POST', '/mfa/recovery', { code }), { status: 200, body: { remaining: 6 - index } }, JSON.stringify(code))
  }
})

t.test('what is not 16 such characters is 400; a wrong checksum is refused; neither costs an attempt or a hash', async t => {
  const service = await useService(t)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const [code] = recoveryCodes as [string]
  for (
    const input of [
      '',
      'x',
      `${code}0`,
      code.slice(0, -1),
      '!'.repeat(16),
      'U'.repeat(16),
      'x'.repeat(10_000),
      `${code}${' '.repeat(60)}`,
      '%_%_%_%_%_%_%_%_',
      `${code.slice(0, -1)}\u0000`,
      `${code.slice(0, -2)}ß`,
      1234567890123456,
      null,
      [code]
    ]
  ) {
    t.match(await user.call('POST', '/mfa/recovery', { code: input }), {
      status: 400,
      body: { errors: [{ field: 'code', message: 'must be the 16 characters of a recovery code, as a string' }] }
    })
  }
  const flipped = `${code.slice(0, -1)}${code.endsWith('0') ? '1' : '0'}`
  t.match(await user.call('POST', '/mfa/recovery', { code: flipped }), { status: 422, body: { code: 'code_refused' } })
})

t.test('GET /mfa/recovery counts and never shows; acknowledging is recorded once', async t => {
  const service = await useService(t)
  const user = service.user()
  t.equal((await user.call('GET', '/mfa/recovery')).body.code, 'not_enrolled')
  t.equal((await user.call('POST', '/mfa/recovery/acknowledge')).body.code, 'not_enrolled')
  await user.enroll()
  t.match((await user.call('GET', '/mfa/recovery')).body, { total: 10, remaining: 10, acknowledgedAt: null, generatedAt: /Z$/ })
  t.equal((await user.call('POST', '/mfa/recovery/acknowledge')).status, 204)
  const { acknowledgedAt } = (await user.call('GET', '/mfa/recovery')).body
  t.match(acknowledgedAt, /^\d{4}-.*Z$/)
  await user.call('POST', '/mfa/recovery/acknowledge')
  t.equal((await user.call('GET', '/mfa/status')).body.recoveryCodes.acknowledgedAt, acknowledgedAt)
})

t.test('new codes need a fresh MFA token and replace the whole set', async t => {
  const service = await useService(t)
  const user = service.user()
  t.equal((await user.call('POST', '/mfa/recovery/codes')).body.code, 'not_enrolled')
  const { recoveryCodes, token } = await user.enroll()
  t.match(await user.call('POST', '/mfa/recovery/codes'), { status: 401, body: { code: 'step_up_required', action: 'verify' } })
  await user.call('POST', '/mfa/recovery/acknowledge')
  const { status, body } = await user.call('POST', '/mfa/recovery/codes', {}, token)
  t.equal(status, 201)
  t.equal(new Set([...body.recoveryCodes, ...recoveryCodes as string[]]).size, 20)
  t.match((await user.call('GET', '/mfa/recovery')).body, { total: 10, remaining: 10, acknowledgedAt: null })
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[1] })).status, 422, 'an old one')
  const recovered = await user.call('POST', '/mfa/recovery', { code: body.recoveryCodes[1] })
  t.equal(recovered.status, 200)
  t.equal((await user.call('POST', '/mfa/recovery/codes', {}, recovered.body.token)).status, 201, 'a recovery may renew them')
  service.clock.advance(901)
  t.equal((await user.call('POST', '/mfa/recovery/codes', {}, token)).status, 401)
})

t.test('as text the new codes are a sheet to keep', async t => {
  const service = await useService(t, { TOTP_ISSUER_NAME: 'Acme' })
  const user = service.user({ preferred_username: 'alice' })
  const { token } = await user.enroll()
  const answer = await service.call('POST', '/mfa/recovery/codes', { token, headers: { accept: 'text/plain' } })
  t.equal(answer.status, 201)
  t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8')
  t.match(answer.text, /^Acme: recovery codes/)
  t.match(answer.text, /Account: alice/)
  t.match(answer.text, service.clock.read().toISOString().slice(0, 10))
  t.match(answer.text, /works once/)
  const codes = answer.text.match(/[0-9A-Z]{4}(-[0-9A-Z]{4}){3}/g) as string[]
  t.equal(codes.length, 10)
  t.equal((await user.call('POST', '/mfa/recovery', { code: codes[9] })).status, 200)
})

t.test('a recovery opens no administration, nor does a factor that was set up after it, for a day', async t => {
  const service = await useService(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const old = await user.enroll()
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code: old.recoveryCodes?.[0] })
  t.match(await user.call('GET', '/admin/policy', undefined, token), { status: 401, body: { code: 'step_up_required' } })
  const newer = await user.enroll(token)
  const byNewer = await user.verify(newer.secret)
  t.match(
    await user.call('GET', '/admin/policy', undefined, byNewer),
    { status: 401, body: { action: 'verify' } },
    'the older one is asked for'
  )
  t.equal((await user.call('GET', '/admin/policy', undefined, await user.verify(old.secret))).status, 200)
  // Another recovery does not make the newer factor older than it.
  await user.call('POST', '/mfa/recovery', { code: old.recoveryCodes?.[1] })
  t.equal((await user.call('GET', '/admin/policy', undefined, await user.verify(newer.secret))).status, 401)
  const { body: removed } = await user.call('DELETE', `/mfa/factors/${old.factorId}`, {}, await user.verify(newer.secret))
  t.match(removed, { acr: 'mfa' })
  t.match(await user.call('GET', '/admin/policy', undefined, removed.token), { status: 403, body: { code: 'forbidden' } })
  await service.db
    .rows`UPDATE factors SET after_recovery_at = (after_recovery_at AT TIME ZONE 'UTC' - interval '1 day') AT TIME ZONE 'UTC'
      WHERE tenant = ${user.tenant}`
  t.equal((await user.call('GET', '/admin/policy', undefined, removed.token)).status, 200)
})

t.test('an event tells of three, one and no codes left', async t => {
  const service = await useService(t)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  for (const code of recoveryCodes as string[]) t.equal((await user.call('POST', '/mfa/recovery', { code })).status, 200)
  const low = (await user.events()).filter(event => event.action === 'recovery.low')
  t.same(low.map(event => event.details.remaining), [3, 1, 0])
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422)
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: true, recoveryCodes: { remaining: 0 } })
})

t.test('codes are stored as bcrypt of the configured cost, each with a salt of its own', async t => {
  const service = await useService(t, { BCRYPT_COST: '7' })
  const user = service.user()
  await user.enroll()
  const rows = await service.db.rows<{ hash: string }>`SELECT hash FROM recovery_codes WHERE tenant = ${user.tenant}`
  t.ok(rows.every(({ hash }) => /^\$2b\$07\$/.test(hash)))
  t.equal(new Set(rows.map(({ hash }) => hash.slice(0, 29))).size, 10)
})

t.test('raising the cost leaves the codes of before good', async t => {
  const first = await useService(t)
  const user = first.user()
  const { recoveryCodes } = await user.enroll()
  const second = await startService(t, { ...first.env, BCRYPT_COST: '5' }, first.clock)
  t.equal((await second.call('POST', '/mfa/recovery', { token: user.token(), body: { code: recoveryCodes?.[0] } })).status, 200)
})

t.test('codes are not replaced for a session that was signed out between the question and the change', async t => {
  const service = await useService(t)
  const user = service.user()
  const { token } = await user.enroll()
  const { settle } = service.db
  t.teardown(() => { service.db.settle = settle })
  service.db.settle = async (name, call) => {
    if (name === 'claim_renewal') await service.db.rows`UPDATE users SET epoch = epoch + 1 WHERE tenant = ${user.tenant}`
    return await settle(name, call)
  }
  t.match(await user.call('POST', '/mfa/recovery/codes', {}, token), { status: 409, body: { code: 'not_enrolled' } })
})
