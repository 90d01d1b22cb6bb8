// Tokens that one issuer with a secret refuses, each for a cause of its own.
import type { RefusalCause } from '../../src/http/auth/refused-token.ts'
import { rsaPair } from './rsa.ts'
import { AUDIENCE, claimsOf, encode, ISSUER, SECRET, type Service, signToken } from './service.ts'
import { compact, hmac, withKey } from './tokens.ts'

/** What is refused, by which of the causes, in which words, and held against what. */
export type RefusedCase = [
  token: (service: Service, now: number) => string,
  cause: RefusalCause,
  text: string | RegExp,
  entry?: string | undefined
]

export const first = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) => (service: Service): string =>
  signToken({ ...claimsOf(service.user({ tenant: 'acme' }).token()), ...claims }, header)

export const REFUSED: Record<string, RefusedCase> = {
  'an opaque token': [() => 'kx83hsbfls', 'malformed', /three parts of a signed JWT: it may be an opaque token/],
  'an encrypted token': [() => 'eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn', 'malformed', /encrypted token \(JWE\)/],
  '"Bearer" twice': [service => `Bearer ${service.user().token()}`, 'malformed', /"Bearer" twice/],
  'an empty signature': [service => service.user().token().replace(/[^.]+$/, ''), 'malformed', /one of its three parts is empty/],
  'no JSON': [() => 'abc.def.ghi', 'malformed', /not a JSON object in UTF-8/],
  'a list': [() => `${encode([1])}.${encode({})}.AA`, 'malformed', /not a JSON object in UTF-8/],
  'claims without a bottom': [
    service =>
      compact(
        { alg: 'HS256' },
        JSON.stringify({ ...claimsOf(service.user().token()), deep: 0 }).replace(
          '"deep":0',
          `"deep":${'['.repeat(6000)}${']'.repeat(6000)}`
        ),
        hmac(SECRET)
      ),
    'malformed',
    'a claim is nested too deep, expected at most 32 levels',
    'JWT_ISSUER'
  ],
  'a header that changes how it is read': [
    first({}, { crit: ['b64'], b64: false }),
    'header',
    'its header has crit, which is not supported'
  ],
  'another issuer': [first({ iss: `${ISSUER}/` }), 'issuer', `iss is "${ISSUER}/", expected "${ISSUER}" (JWT_ISSUER)`],
  'no issuer': [first({ iss: undefined }), 'issuer', `iss is not there, expected "${ISSUER}" (JWT_ISSUER)`],
  'another audience': [first({ aud: 'account' }), 'audience', `aud is "account", expected "${AUDIENCE}" (JWT_AUDIENCE)`, 'JWT_ISSUER'],
  'other audiences': [
    first({ aud: ['account', 'https://api.example.com'] }),
    'audience',
    `aud is ["account", "https://api.example.com"], expected "${AUDIENCE}" (JWT_AUDIENCE)`,
    'JWT_ISSUER'
  ],
  'no audience': [first({ aud: undefined }), 'audience', `aud is not there, expected "${AUDIENCE}" (JWT_AUDIENCE)`, 'JWT_ISSUER'],
  'another algorithm': [
    service =>
      compact({ alg: 'RS256', kid: 'k' }, claimsOf(service.user().token()), withKey(rsaPair().privateKey)),
    'algorithm',
    'alg is "RS256", expected "HS256" (JWT_ALGORITHMS)',
    'JWT_ISSUER'
  ],
  'no algorithm': [
    service => compact({}, claimsOf(service.user().token()), hmac(SECRET)),
    'algorithm',
    'alg is not there, expected "HS256" (JWT_ALGORITHMS)',
    'JWT_ISSUER'
  ],
  'another key': [
    service => signToken(claimsOf(service.user().token()), {}, 'x'.repeat(48)),
    'signature',
    'the signature is not by a key of its issuer (JWT_SECRET)',
    'JWT_ISSUER'
  ],
  'an ID token': [first({ nonce: 'n-1' }), 'kind', /^nonce is "n-1", expected an access token \(tokenUse/, 'JWT_ISSUER'],
  'a refresh token': [first({ typ: 'Refresh' }), 'kind', /^typ is "Refresh", expected an access token/, 'JWT_ISSUER'],
  'a logout token': [first({}, { typ: 'logout+jwt' }), 'kind', /^typ is "logout\+jwt", expected an access token/, 'JWT_ISSUER'],
  'one that ended': [
    (service, now) => first({ exp: now - 3600 })(service),
    'expired',
    /^exp is \d+ \(20\d\d-.*Z\), expected a time in the future$/,
    'JWT_ISSUER'
  ],
  'one that ended a moment ago': [
    (service, now) => first({ exp: now - 5 })(service),
    'expired',
    /^exp is \d+ \(20\d\d-.*Z\), expected a time in the future$/,
    'JWT_ISSUER'
  ],
  'one for later': [
    (service, now) => first({ nbf: now + 3600 })(service),
    'not_yet',
    /^nbf is \d+ \(20\d\d-.*Z\), expected a time in the past$/,
    'JWT_ISSUER'
  ],
  'one of the future': [
    (service, now) => first({ iat: now + 3600 })(service),
    'not_yet',
    /^iat is \d+ \(20\d\d-.*Z\), expected a time in the past$/,
    'JWT_ISSUER'
  ],
  'one for long': [
    (service, now) => first({ exp: now + 90_000 })(service),
    'lifetime',
    /^it lasts for 90000 seconds, expected at most 86400/,
    'JWT_ISSUER'
  ],
  'without an end': [first({ exp: undefined }), 'absent', 'exp is not there, expected seconds since 1970', 'JWT_ISSUER'],
  'an end that is text': [first({ exp: '1795887490' }), 'unreadable', 'exp is "1795887490", expected seconds since 1970', 'JWT_ISSUER'],
  'an end that is no time': [first({ exp: 1e20 }), 'unreadable', 'exp is 100000000000000000000, expected seconds since 1970', 'JWT_ISSUER'],
  'a beginning that is no time': [
    first({ nbf: 1e20 }),
    'unreadable',
    'exp or nbf is not a time, expected seconds since 1970',
    'JWT_ISSUER'
  ],
  'no user': [
    first({ sub: undefined }),
    'absent',
    /^sub is not there, expected a text of 1 to 255 characters \(claims\.subject/,
    'JWT_ISSUER'
  ],
  'a number for a user': [first({ sub: 42 }), 'unreadable', /^sub is 42, expected a text of 1 to 255 characters/, 'JWT_ISSUER'],
  'a tenant that is a list': [
    first({ tenant: ['acme', 'b'] }),
    'unreadable',
    /^tenant is \["acme", "b"\], expected a text of 1 to 128/,
    'JWT_ISSUER'
  ]
}
