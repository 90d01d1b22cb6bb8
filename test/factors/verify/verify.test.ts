import t from 'tap'
import { claimsOf } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

t.test('the window is {T−1, T, T+1}, and nothing beside it', async t => {
  for (const [offset, status] of [[-3, 422], [-2, 422], [-1, 200], [0, 200], [1, 200], [2, 422], [3, 422]] as const) {
    const service = await useService(t)
    const user = service.user()
    const { secret } = await user.enroll()
    service.clock.advance(120)
    t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret, offset) })).status, status, `T${offset}`)
  }
})

t.test('TOTP_WINDOW=past takes {T−1, T} alone', async t => {
  const service = await useService(t, { TOTP_WINDOW: 'past' })
  const user = service.user()
  const { secret } = await user.enroll()
  service.clock.advance(60)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret, 1) })).status, 422)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret, -1) })).status, 200)
})

t.test('after a step is accepted, it and every older one are dead, by every login and session', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, token } = await user.enroll()
  service.clock.advance(60)
  const codes = [-1, 0, 1].map(offset => service.clock.code(secret, offset))
  t.equal((await user.call('POST', '/mfa/verify', { code: codes[2] })).status, 200)
  for (const bearer of [user.token(), user.token({ sid: 'another' }), token]) {
    for (const code of codes) t.equal((await user.call('POST', '/mfa/verify', { code }, bearer)).status, 422)
  }
  t.equal((await user.throttle('totp')).failures, 0, 'a replay costs nothing')
  service.clock.advance(60)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 200)
})

t.test('a clock that goes backwards revives no code', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  service.clock.advance(300)
  await user.verify(secret)
  service.clock.advance(-120)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 422)
})

t.test('a code is taken as users paste it: spaces and dashes of any kind between its digits, and the digits of any script', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const inScript = (zero: number) => (code: string): string => code.replace(/\d/g, digit => String.fromCodePoint(zero + Number(digit)))
  const spaced = (separator: string) => (code: string): string => `${code.slice(0, 3)}${separator}${code.slice(3)}`
  const spellings: Array<(code: string) => string> = [
    ...[
      ' ',
      '-',
      '\u00A0',
      '\u202F',
      '\u2009',
      '\u3000',
      '\u2010',
      '\u2011',
      '\u2012',
      '\u2013',
      '\u2014',
      '\u2015',
      '\u2212',
      '\uFF0D',
      'ー',
      '\u200B',
      '\u2060',
      ' \u2013 ',
      '\t'
    ].map(spaced),
    code => ` ${code}\n`,
    code => `\uFEFF${code}`,
    code => `\u2068${code}\u2069`,
    code => [...code].join(' '),
    code => code.match(/../g)?.join('-') as string,
    // Arabic, Persian, Devanagari, Bengali, Thai, full width, bold and double-struck (which touch), and N'Ko.
    ...[0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10, 0x1D7CE, 0x1D7D8, 0x7C0].map(inScript),
    code => inScript(0x660)(spaced('\u00A0')(code)),
    code => inScript(0xFF10)(code.slice(0, 3)) + code.slice(3)
  ]
  for (const spell of spellings) {
    service.clock.advance(30)
    const code = spell(service.clock.code(secret))
    t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, JSON.stringify(code))
    t.equal((await user.call('POST', '/mfa/verify', { code: spell(service.clock.code(secret)) })).status, 422, 'once')
  }
  const newcomer = service.user()
  const { body: { factorId, secret: theirs } } = await newcomer.call('POST', '/mfa/enroll')
  t.equal(
    (await newcomer.call('POST', '/mfa/enroll/confirm', { factorId, code: inScript(0x6F0)(spaced(' ')(service.clock.wrongCode(theirs))) }))
      .status,
    422
  )
  t.equal((await newcomer.throttle('totp')).failures, 1, 'a wrong one costs what it costs, however it is spelt')
  t.equal(
    (await newcomer.call('POST', '/mfa/enroll/confirm', { factorId, code: inScript(0x6F0)(spaced(' ')(service.clock.code(theirs))) }))
      .status,
    200
  )
})

t.test('what is not six digits in a string is 400, says so and costs nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  const malformed = [
    '+12345',
    '-12345',
    '1',
    '12345',
    '1234567',
    '1'.repeat(1000),
    `${code}${' '.repeat(100)}`,
    '',
    '      ',
    '------',
    '123.456',
    '123,456',
    '1e5000',
    '0x1234',
    '①②③④⑤⑥',
    '¹²³⁴⁵⁶',
    '一二三四五六',
    'ⅠⅡⅢⅣⅤⅥ',
    'l23456',
    '12345O',
    `${code}\u0000`,
    `${code}\u0301`,
    `${code}%`,
    `\u0007${code}`,
    '1٢3',
    '١٢٣٤٥٦٧',
    null,
    123456,
    Number(code),
    1e5,
    [code],
    [[code]],
    {},
    { code },
    true,
    false
  ]
  for (const [index, value] of malformed.entries()) {
    const answer = await user.call('POST', '/mfa/verify', { code: value })
    t.equal(answer.status, 400, `malformed ${index}`)
    t.match(answer.body, { code: 'invalid_request', errors: [{ field: 'code', message: 'must be six digits, as a string' }] })
  }
  t.match((await user.call('POST', '/mfa/verify', {})).body, { errors: [{ field: 'code', message: 'is required' }] })
  t.equal((await user.throttle('totp')).failures, 0)
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, 'the code was not spent by any of them')
})

t.test('nothing that the client sends moves the time', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  service.clock.advance(120)
  const code = service.clock.code(secret, -4)
  const headers = { date: 'Tue, 24 Nov 2020 00:00:00 GMT', 'x-time': '0', 'x-test-clock': '0' }
  t.equal((await service.call('POST', '/mfa/verify', { token: user.token(), body: { code }, headers })).status, 422)
  t.equal((await user.call('POST', '/mfa/verify', { code, timestamp: 0 })).status, 400)
})

t.test('magic codes open nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  for (const code of ['000000', '123456'].filter(code => [-1, 0, 1].every(offset => service.clock.code(secret, offset) !== code))) {
    t.equal((await user.call('POST', '/mfa/verify', { code })).status, 422)
  }
})

t.test('the answer is a token of this authentication, and says when the next code is accepted', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, factorId } = await user.enroll()
  const { body } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'factorId', 'nextCodeAt', 'token', 'tokenType'])
  t.match(body, { factorId, acr: 'mfa', amr: ['pwd', 'otp', 'mfa'], tokenType: 'Bearer' })
  t.match(claimsOf(body.token), { auth_time: service.clock.seconds, fid: factorId })
  t.equal(body.nextCodeAt, new Date((Math.floor(service.clock.seconds / 30) + 1) * 30_000).toISOString())
  t.equal((await user.call('GET', '/mfa/factors')).body.items[0].nextCodeAt, body.nextCodeAt)
})

t.test('every accepted and refused code leaves one audit row that says who, what and from where, and not the code', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  await user.call('POST', '/mfa/verify', { code })
  await user.call('POST', '/mfa/verify', { code })
  await user.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
  const events = await user.events()
  t.same(events.map(event => `${event.action} ${event.outcome}`), [
    'factor.started success',
    'factor.confirmed success',
    'totp.accepted success',
    'totp.refused failure',
    'totp.refused failure'
  ])
  const { id } = await user.row()
  for (const event of events) {
    t.match(event, { tenant: user.tenant, actor: id, subject: id, factor_kind: 'totp', address: '127.0.0.1', request_id: /^[\w-]{36}$/ })
    t.notMatch(JSON.stringify(event.details), code)
  }
})

t.test('how far the clock of a phone is off stands in the audit, and nothing else tells it', async t => {
  const service = await useService(t, { THROTTLE_WAITS: '0' })
  const { clock } = service
  const user = service.user()
  const { secret, factorId, token } = await user.enroll(undefined, 'Work')
  const { body: second } = await user.call('POST', '/mfa/enroll', { label: 'Home' }, token)
  await user.call('POST', '/mfa/enroll/confirm', { factorId: second.factorId, code: clock.code(second.secret) }, token)
  clock.advance(3600)
  const refused = async (code: string, path = '/mfa/verify', body: object = {}): Promise<string> => {
    const answer = await user.call('POST', path, { ...body, code })
    t.equal(answer.status, 422)
    return answer.text.replace(/urn:request:[\w-]+/, '')
  }
  const answers = [
    await refused(clock.code(secret, -4)),
    await refused(clock.code(second.secret, 20)),
    await refused(clock.code(secret, 21)),
    await refused(clock.wrongCode(secret))
  ]
  answers.push(await refused(clock.code(secret, 5), undefined, { factorId: second.factorId }))
  t.equal(new Set(answers).size, 1, 'no answer differs')
  const details = (await user.events()).filter(({ action }) => action === 'totp.refused').map(({ details }) => details)
  t.same(
    details,
    [{ factorId, stepsAway: -4 }, { factorId: second.factorId, stepsAway: 20 }, {}, {}, {}],
    'of the factors that it was tried against alone'
  )
  t.match(await user.throttle('totp'), { failures: 5 }, 'each costs what a wrong code costs')

  const newcomer = service.user()
  const { body: started } = await newcomer.call('POST', '/mfa/enroll')
  t.equal(
    (await newcomer.call('POST', '/mfa/enroll/confirm', { factorId: started.factorId, code: clock.code(started.secret, 3) })).status,
    422
  )
  t.match((await newcomer.events()).at(-1), { action: 'totp.refused', details: { factorId: started.factorId, stepsAway: 3 } })
})

t.test('an enrolled user is asked for a code though the policy is optional', async t => {
  const service = await useService(t)
  const user = service.user()
  await user.enroll()
  t.match((await user.call('GET', '/mfa/status')).body.decision, { action: 'verify', reason: 'factor_enrolled' })
})
