import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { raw, request } from '../../helpers/raw.ts'
import { rsaPair } from '../../helpers/rsa.ts'
import { claimsOf, SECRET, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'
import { bare, compact, hmac, refuseAll, unsigned, withKey } from '../../helpers/tokens.ts'

const HS = { alg: 'HS256', typ: 'JWT' }
const rsa = rsaPair()
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pemOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }) as string

t.test('an unsigned token is refused however it spells "none"', async t => {
  const service = await useService(t)
  const user = service.user()
  const claims = claimsOf(user.token())
  const [input] = user.token().split(/\.(?=[^.]*$)/) as [string]
  await refuseAll(t, service, user.tenant, {
    ...Object.fromEntries(['none', 'None', 'NONE', 'nOnE', ' none', '', null, 0, ['none'], undefined].flatMap(alg => [
      [`alg ${JSON.stringify(alg)}, no signature`, compact({ alg, typ: 'JWT' }, claims, unsigned)],
      [`alg ${JSON.stringify(alg)}, a signature`, compact({ alg, typ: 'JWT' }, claims, hmac(SECRET))]
    ])),
    'HS256 with an empty signature': `${input}.`,
    'HS256 without a signature': input,
    'a signature of one byte': `${input}.AA`,
    'a signature of zeros': `${input}.${Buffer.alloc(32).toString('base64url')}`,
    'a signature cut short': user.token().slice(0, -4),
    'a signature of an empty key': compact(HS, claims, hmac('')),
    'a signature of another key': compact(HS, claims, hmac('x'.repeat(48))),
    'the payload of another token': [input.split('.')[0], service.user().token().split('.')[1], user.token().split('.')[2]].join('.')
  })
})

t.test('with a secret, HS256 alone is accepted', async t => {
  const service = await useService(t)
  const user = service.user()
  const claims = claimsOf(user.token())
  await refuseAll(t, service, user.tenant, {
    HS384: compact({ alg: 'HS384' }, claims, hmac(SECRET, 'sha384')),
    HS512: compact({ alg: 'HS512' }, claims, hmac(SECRET, 'sha512')),
    'hs256 in lower case': compact({ alg: 'hs256' }, claims, hmac(SECRET)),
    RS256: compact({ alg: 'RS256' }, claims, withKey(rsa.privateKey)),
    ES256: compact({ alg: 'ES256' }, claims, withKey(ec.privateKey)),
    'HS256 that says RS256': compact({ alg: 'RS256' }, claims, hmac(SECRET))
  })
})

for (const [algorithm, keys, other] of [['RS256', rsa, ec], ['ES256', ec, rsa]] as const) {
  t.test(`with the public key of ${algorithm}, no token is signed by what is public`, async t => {
    const { privateKey, publicKey } = keys
    const pem = pemOf(publicKey)
    const dir = t.testdir({ 'key.pem': pem })
    const service = await startService(t, { JWT_SECRET: undefined, JWT_PUBLIC_KEY_FILE: `${dir}/key.pem` })
    const user = service.user()
    const claims = claimsOf(user.token())
    const jwk = publicKey.export({ format: 'jwk' })
    const number = (jwk.n ?? jwk.x) as string
    const texts: Record<string, string | Buffer> = {
      PEM: pem,
      'PEM without its last line break': pem.trim(),
      'PEM after a line break': `\n${pem}`,
      'PEM in one line': pem.replaceAll('\n', ''),
      'PEM with CRLF': pem.replaceAll('\n', '\r\n'),
      DER: publicKey.export({ format: 'der', type: 'spki' }),
      'JWK in JSON': JSON.stringify(jwk),
      'the modulus or x': Buffer.from(number, 'base64url'),
      'the modulus or x as text': number,
      ...(algorithm === 'RS256' &&
        {
          'PEM (PKCS#1)': publicKey.export({ format: 'pem', type: 'pkcs1' }),
          'DER (PKCS#1)': publicKey.export({ format: 'der', type: 'pkcs1' })
        })
    }
    await refuseAll(t, service, user.tenant, {
      ...Object.fromEntries(
        Object.entries(texts).flatMap(([name, key]) =>
          [['HS256', 'sha256'], ['HS384', 'sha384'], ['HS512', 'sha512']].map((
            [alg, hash]
          ) => [`${alg as string} with ${name}`, compact({ alg, typ: 'JWT' }, claims, hmac(key, hash))])
        )
      ),
      [`${algorithm} with an HMAC of the PEM`]: compact({ alg: algorithm }, claims, hmac(pem)),
      'another key of the same kind': compact(
        { alg: algorithm },
        claims,
        withKey(algorithm === 'RS256' ? rsaPair().privateKey : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
      ),
      'a key of the other kind': compact({ alg: algorithm === 'RS256' ? 'ES256' : 'RS256' }, claims, withKey(other.privateKey)),
      'an algorithm that is not allowed': algorithm === 'RS256'
        ? compact({ alg: 'RS512' }, claims, withKey(privateKey, 'sha512'))
        : compact({ alg: 'ES384' }, claims, withKey(privateKey, 'sha384')),
      none: compact({ alg: 'none' }, claims, unsigned),
      'no signature': compact({ alg: algorithm }, claims, unsigned),
      'r and s zero': compact({ alg: algorithm }, claims, () => Buffer.alloc(64))
    })
    const good = compact({ alg: algorithm, typ: 'JWT' }, claims, withKey(privateKey))
    t.match((await service.call('GET', '/mfa/status', { token: good })).body, { subject: user.sub })
  })
}

t.test('a key that a token brings along is no key, and its URL is not asked', async t => {
  let connections = 0
  const server = createServer((_request, response) => response.end('{}')).on('connection', () => { connections++ }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  const { JWT_SECRET, ...pem } = { JWT_SECRET: undefined, JWT_PUBLIC_KEY_FILE: `${t.testdir({ 'key.pem': pemOf(rsa.publicKey) })}/key.pem` }
  const attacker = rsaPair()
  const jwk = { ...attacker.publicKey.export({ format: 'jwk' }), kid: 'evil', use: 'sig', alg: 'RS256' }
  const x5c = [attacker.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')]
  for (const env of [{ JWT_SECRET, ...pem }, {}]) {
    const service = await startService(t, env)
    const user = service.user()
    const sign = withKey(attacker.privateKey)
    const claims = claimsOf(user.token())
    await refuseAll(t, service, user.tenant, {
      jwk: compact({ alg: 'RS256', jwk }, claims, sign),
      'jwk with its kid': compact({ alg: 'RS256', kid: 'evil', jwk }, claims, sign),
      jku: compact({ alg: 'RS256', kid: 'evil', jku: url }, claims, sign),
      x5u: compact({ alg: 'RS256', kid: 'evil', x5u: url }, claims, sign),
      x5c: compact({ alg: 'RS256', x5c }, claims, sign),
      'a symmetric jwk': compact({ ...HS, jwk: { kty: 'oct', k: Buffer.from('key').toString('base64url') } }, claims, hmac('key')),
      'jku as iss': compact({ alg: 'RS256', jku: url }, { ...claims, iss: url }, sign)
    })
  }
  t.equal(connections, 0, 'no connection was made')
})

t.test('a kid is a name and nothing else', async t => {
  const service = await useService(t)
  const user = service.user()
  const claims = claimsOf(user.token())
  const kids = [
    '../../../../dev/null',
    '/dev/null',
    "' OR 1=1 --",
    "x' UNION SELECT 'key",
    '| cat /etc/passwd',
    'unknown',
    '__proto__',
    'constructor',
    '',
    null,
    1,
    ['a'],
    { a: 1 }
  ]
  for (const kid of kids) {
    await refuseAll(t, service, user.tenant, {
      [`signed by an empty key: ${JSON.stringify(kid)}`]: compact({ ...HS, kid }, claims, hmac('')),
      [`signed by its own text: ${JSON.stringify(kid)}`]: compact({ ...HS, kid }, claims, hmac(String(kid))),
      [`of our own issuer: ${JSON.stringify(kid)}`]: compact(
        { ...HS, kid },
        { ...claims, iss: 'https://mfa.test', aud: 'mfa-own' },
        hmac('')
      )
    })
  }
})

t.test('what changes how a JWS is read is refused, and so is what is no compact JWS', async t => {
  const service = await useService(t)
  const user = service.user()
  const claims = claimsOf(user.token())
  const [header, payload, signature] = user.token().split('.') as [string, string, string]
  const signed = (part: object): string => compact({ ...HS, ...part }, claims, hmac(SECRET))
  await refuseAll(t, service, user.tenant, {
    'crit unknown': signed({ crit: ['x'], x: 1 }),
    'crit empty': signed({ crit: [] }),
    'crit that names alg': signed({ crit: ['alg'] }),
    'b64 false': signed({ b64: false, crit: ['b64'] }),
    'b64 without crit': signed({ b64: false }),
    zip: signed({ zip: 'DEF' }),
    'a JWE header': signed({ alg: 'dir', enc: 'A256GCM' }),
    'a JWE of five parts': `${header}.${payload}.${signature}.${payload}.${signature}`,
    'four parts': `${header}.${payload}.${signature}.x`,
    'one part': header,
    'a nested token': compact({ ...HS, cty: 'JWT' }, JSON.stringify(user.token()), hmac(SECRET)),
    'JSON serialization': JSON.stringify({ payload, protected: header, signature }),
    'padded base64': `${header}.${payload}.${signature}=`,
    'base64 that is not of URLs': `${header}.${payload}.${signature.slice(0, -1)}+`,
    'a dot at the end': `${header}.${payload}.${signature}.`,
    'a header that is no object': compact('[]', claims, hmac(SECRET)),
    'a header that is no JSON': compact('{', claims, hmac(SECRET)),
    'a payload that is an array': compact(HS, '[]', hmac(SECRET)),
    'a payload that is null': compact(HS, 'null', hmac(SECRET)),
    'a payload that is text': compact(HS, '"x"', hmac(SECRET)),
    'a payload that is no JSON': compact(HS, '{"iss":', hmac(SECRET)),
    'an issuer given twice, the last one another': compact(
      HS,
      JSON.stringify(claims).replace(/}$/, ',"iss":"https://evil.test"}'),
      hmac(SECRET)
    ),
    ...Object.fromEntries(
      ['id+jwt', 'logout+jwt', 'refresh+jwt', 'dpop+jwt', 'JOSE', '', null, 1, ['JWT']].map(
        typ => [`typ ${JSON.stringify(typ)}`, signed({ typ })]
      )
    )
  })
  for (const typ of ['at+jwt', 'application/at+jwt', 'AT+JWT', 'jwt', undefined]) {
    t.equal((await user.call('GET', '/mfa/status', undefined, signed({ typ }))).status, 200, `typ ${String(typ)}`)
  }
})

t.test('a token stands in one Authorization header, as Bearer, and nowhere else', async t => {
  const service = await useService(t)
  const user = service.user()
  const token = user.token()
  const none = bare(await service.call('GET', '/mfa/status'))
  const headers = [
    { cookie: `token=${token}; access_token=${token}; Authorization=Bearer ${token}` },
    { 'x-authorization': `Bearer ${token}` },
    { 'proxy-authorization': `Bearer ${token}` },
    { 'x-access-token': token },
    { authorization: token },
    { authorization: `Basic ${token}` },
    { authorization: `DPoP ${token}` },
    { authorization: `Bearer ${token}, Bearer ${token}` },
    { authorization: `Bearer ${token} x` },
    { authorization: `Bearer "${token}"` }, { authorization: 'Bearer' }, { authorization: `Bearer\t${token}` }
  ]
  for (const header of headers) {
    t.same(
      bare(await service.call('GET', '/mfa/status', { headers: header as Record<string, string> })),
      none,
      JSON.stringify(header).slice(0, 40)
    )
  }
  for (const path of [`?access_token=${token}`, `?token=${token}`, `?authorization=Bearer%20${token}`]) {
    t.same(bare(await service.call('GET', `/mfa/status${path}`)), none, path.slice(0, 15))
  }
  t.same(bare(await service.call('POST', '/mfa/enroll', { body: { access_token: token, token } })), none, 'a body')
  for (const second of [token, service.user().token(), 'x']) {
    const { status, body } = await raw(
      service.url,
      request('GET /mfa/status', [`Authorization: Bearer ${token}`, `authorization: Bearer ${second}`])
    )
    t.equal(status, 401, 'two headers')
    t.same(bare({ body: JSON.parse(body) }), none)
  }
  t.equal((await raw(service.url, request('GET /mfa/status', [`Authorization: bearer ${token}`]))).status, 200, 'one, in any case')
})
