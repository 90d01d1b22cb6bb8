import t, { type Test } from 'tap'
import { UnavailableError } from '../../../src/platform/unavailable.ts'
import { KEY_SET_LIMITS, MAX_TRIED, remoteKeys } from '../../../src/http/auth/remote-keys.ts'
import { newKey, newTenant, publicPart, startTrusting, TestIssuer, type Trusting, trusting } from '../../helpers/issuers.ts'

t.test('keys are asked for once, and an unknown kid asks again at most once in 30 seconds', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const tenant = newTenant()
  for (let i = 0; i < 5; i++) t.equal((await status(issuer.sign(clock, { tenant }))).status, 200)
  t.equal(issuer.asked, 1)
  await Promise.all(Array.from({ length: 200 }, (_, i) => status(issuer.sign(clock, { tenant }, { kid: `unknown-${i}` }))))
  t.equal(issuer.asked, 1, 'it was asked a moment ago')

  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.cooldown + 1000 })
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => status(issuer.sign(clock, { tenant }, { kid: `unknown-${i}` }))))
  t.ok(answers.every(answer => answer.status === 401))
  t.equal(issuer.asked, 2)
})

t.test('entries of one key set ask for it once', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const entry = { issuer: issuer.iss, jwksUrl: issuer.jwksUrl, tenants: '*' }
  const service = await startTrusting(t, [{ ...entry, audience: 'mfa' }, { ...entry, audience: 'other', loginType: 'sso' }])
  for (const aud of ['mfa', 'other']) {
    t.equal((await service.call('GET', '/mfa/status', { token: issuer.sign(service.clock, { aud, tenant: newTenant() }) })).status, 200)
  }
  t.equal(issuer.asked, 1)
})

t.test('keys rotate without a restart: the new one is found, the old one good while it is published', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const tenant = newTenant()
  const old = issuer.sign(clock, { tenant })
  t.equal((await status(old)).status, 200)
  issuer.keys = [newKey(), ...issuer.keys]
  const real = Date.now
  let shift = KEY_SET_LIMITS.cooldown + 1000
  t.intercept(Date, 'now', { value: () => real() + shift })
  t.equal((await status(issuer.sign(clock, { tenant }))).status, 200)
  t.equal((await status(old)).status, 200)
  t.equal(issuer.asked, 2)
  issuer.keys = issuer.keys.slice(0, 1)
  shift += KEY_SET_LIMITS.maxAge
  t.equal((await status(old)).status, 401, 'and not longer than ten minutes after that')
  t.equal(issuer.asked, 3)
})

t.test('through an outage what is cached answers, and what it does not know is 503', async t => {
  const { service: { clock, log }, issuer, status } = await trusting(t)
  const tenant = newTenant()
  t.equal((await status(issuer.sign(clock, { tenant }))).status, 200)
  issuer.answer = () => ({ status: 500 })
  const real = Date.now
  let shift = KEY_SET_LIMITS.maxAge + 1000
  t.intercept(Date, 'now', { value: () => real() + shift })
  t.equal((await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7200 }))).status, 200, 'a set that should be renewed')
  const asked = issuer.asked
  for (let i = 0; i < 20; i++) {
    t.match(await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7200 }, { kid: `unknown-${i}` }, newKey())), {
      status: 503,
      body: { code: 'unavailable' }
    }, 'a key that may be a new one')
  }
  t.equal(issuer.asked, asked, 'nor does an outage multiply the questions')
  issuer.answer = undefined
  shift += KEY_SET_LIMITS.cooldown + 1000
  t.equal((await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7200 }))).status, 200)
  t.equal(issuer.asked, asked + 1, 'it heals by itself')
  issuer.answer = () => ({ status: 500 })
  shift += KEY_SET_LIMITS.maxStale + 1000
  t.match(
    await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7200 })),
    { status: 503 },
    'no key outlives its set by more than an hour'
  )
  t.notMatch(log.join(''), issuer.url, 'the log names no key')
})

t.test('a key set that is slow, huge, elsewhere or none is a bounded 503, and nothing is accepted', async t => {
  const other = await new TestIssuer('https://a.test').start(t)
  const answers: Record<string, NonNullable<TestIssuer['answer']>> = {
    'a redirect': () => ({ status: 302, location: other.jwksUrl }),
    'another status': () => ({ status: 203 }),
    'no JSON': () => ({ body: '<html>' }),
    'JSON null': () => ({ body: 'null' }),
    'no key set': () => ({ body: '{"keys":1}' }),
    'no keys in it': () => ({ body: '{"keys":[]}' }),
    'keys that are none': () => ({ body: '{"keys":[1]}' }),
    'a megabyte': () => ({ body: JSON.stringify({ keys: [], filler: 'x'.repeat(1_000_000) }) })
  }
  for (const [name, answer] of Object.entries(answers)) {
    const { service: { clock }, issuer, status } = await trusting(t)
    issuer.keys = other.keys
    issuer.answer = answer
    const response = await status(issuer.sign(clock, { tenant: newTenant() }))
    t.match(response, { status: 503, body: { code: 'unavailable' } }, name)
    t.match(response.headers.get('retry-after'), /^[1-9]\d*$/)
  }
  t.equal(other.asked, 0, 'no redirect was followed')
})

t.test('who comes when a set was just waited for in vain is told at once, and a second later it is asked for again', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  issuer.answer = () => ({ delay: 3000 })
  const { find } = remoteKeys(issuer.jwksUrl, fetch, { ...KEY_SET_LIMITS, timeout: 1000 })
  const ask = (): Promise<unknown> => find({ alg: 'ES256', kid: 'x' })
  await Promise.all(Array.from({ length: 20 }, () => t.rejects(ask(), UnavailableError)))
  for (let n = 0; n < 20; n++) await t.rejects(ask(), UnavailableError)
  t.equal(issuer.asked, 1)
  const { now } = Date
  t.intercept(Date, 'now', { value: () => now() + KEY_SET_LIMITS.firstCooldown })
  issuer.answer = undefined
  t.same(await ask(), [])
  t.equal(issuer.asked, 2)
})

t.test('a set that has lost all its keys is an outage: the tokens of the keys that it had go on', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const tenant = newTenant()
  const { now } = Date
  const token = issuer.sign(clock, { tenant, exp: clock.seconds + 7200 })
  t.equal((await status(token)).status, 200)
  issuer.answer = () => ({ body: '{"keys":[]}' })
  t.intercept(Date, 'now', { value: () => now() + KEY_SET_LIMITS.maxAge + 1000 })
  t.equal((await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7201 }))).status, 200)
})

t.test('a slow key set is given up', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  issuer.answer = () => ({ delay: 3000 })
  const { find } = remoteKeys(issuer.jwksUrl, fetch, { ...KEY_SET_LIMITS, timeout: 100 })
  const began = Date.now()
  await t.rejects(find({ alg: 'ES256', kid: 'x' }), UnavailableError)
  t.ok(Date.now() - began < 2000)
  t.equal(KEY_SET_LIMITS.timeout, 5000)
})

t.test('a key is found by its kid, or all that are of its kind, within bounds', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const { find } = remoteKeys(issuer.jwksUrl)
  t.match(await find({ alg: 'ES256' }), [/BEGIN PUBLIC KEY/])
  for (
    const header of [{ alg: 'RS256' }, { alg: 'none' }, { alg: 1 }, {}, { alg: 'ES256', kid: 1 }, { alg: 'ES256', kid: 'x'.repeat(256) }, {
      alg: 'ES256',
      kid: 'other'
    }, { alg: 'HS256', kid: issuer.keys[0]?.kid }]
  ) t.same(await find(header), [], JSON.stringify(header))
  const others = [...Array.from({ length: 12 }, () => newKey('ES256')), newKey('RS256'), { ...newKey('ES256'), use: 'enc' }]
  issuer.answer = () => ({ body: JSON.stringify({ keys: others.map(publicPart) }) })
  t.equal((await remoteKeys(issuer.jwksUrl).find({ alg: 'ES256' })).length, MAX_TRIED)
  t.equal((await remoteKeys(issuer.jwksUrl).find({ alg: 'RS256' })).length, 1)
  issuer.answer = () => ({
    body: JSON.stringify({ keys: [{ ...publicPart(newKey('ES256')), x: 'AAAA' }, publicPart(others[0] as never)] })
  })
  t.equal((await remoteKeys(issuer.jwksUrl).find({ alg: 'ES256' })).length, 1, 'one that is none spoils no other')
})

/** An issuer that names no key: several at a time, and others after a rotation. */
async function nameless (
  t: Test
): Promise<Trusting & { sign: (key?: Record<string, unknown>, claims?: object) => string, keys: Array<Record<string, unknown>> }> {
  const all = await trusting(t)
  const keys = [newKey(), newKey(), newKey()]
  const { issuer, service: { clock } } = all
  issuer.keys = keys.slice(0, 2)
  issuer.answer = () => ({ body: JSON.stringify({ keys: issuer.keys.map(key => ({ ...publicPart(key), kid: undefined })) }) })
  const tenant = newTenant()
  return {
    ...all,
    keys,
    sign: (key = keys[0], claims = {}) => issuer.sign(clock, { tenant, exp: clock.seconds + 7200, ...claims }, { kid: undefined }, key)
  }
}

t.test('without a kid each key that fits is tried, and a rotation is no outage', async t => {
  const { issuer, keys, sign, status, service: { log } } = await nameless(t)
  for (const key of keys.slice(0, 2)) {
    for (const time of ['first', 'second']) t.equal((await status(sign(key))).status, 200, `the ${time} time`)
  }
  const early = sign(keys[2])
  t.equal((await status(early)).status, 401, 'the next one does not count yet')
  t.match(log.join(''), /"cause":"signature"/)
  t.equal(issuer.asked, 1)
  issuer.keys = keys.slice(1)
  t.equal((await status(early)).status, 401, 'it was asked a moment ago')
  t.equal(issuer.asked, 1)
  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.cooldown + 1000 })
  t.equal((await status(early)).status, 200, 'half a minute later it is asked for anew')
  t.equal((await status(sign(keys[1]))).status, 200)
  t.equal((await status(sign(keys[0]))).status, 401, 'and the old one is gone')
  t.equal(issuer.asked, 2)
})

t.test('without a kid, a caller without a key costs the issuer one question in half a minute, and us a few checks', async t => {
  const { issuer, sign, status } = await nameless(t)
  t.equal((await status(sign())).status, 200)
  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.cooldown + 1000 })
  const forged = newKey()
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => status(sign(forged, { sub: `mallory-${i}` }))))
  t.ok(answers.every(answer => answer.status === 401))
  t.equal(issuer.asked, 2)
})

t.test('without a kid, an outage is none for the keys that are known, and 503 for what may be signed by a new one', async t => {
  const { issuer, keys, sign, status } = await nameless(t)
  t.equal((await status(sign())).status, 200)
  issuer.answer = () => ({ status: 500 })
  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.cooldown + 1000 })
  t.equal((await status(sign(keys[1]))).status, 200)
  t.match(await status(sign(keys[2])), { status: 503, body: { code: 'unavailable' } })
  t.equal((await status(sign(keys[1]))).status, 200)
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.maxAge + 1000 })
  t.equal((await status(sign(keys[1]))).status, 200, 'what is cached answers by each of its keys')
})
