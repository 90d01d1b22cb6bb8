import type { Issuer } from '../http/auth/issuer.ts'
import type { Faults } from './faults.ts'
import { readText } from './files.ts'
import { type IssuerEntry, toIssuer } from './issuers.ts'
import { algorithmsOf, defaultAlgorithms, parsePublicKey } from './public-key.ts'
import { ConfigError } from './readers.ts'

const KEYS = ['JWT_SECRET', 'JWT_PUBLIC_KEY_FILE', 'JWT_JWKS_URL'] as const
const PLAIN = [
  'JWT_ISSUER',
  'JWT_AUDIENCE',
  'JWT_SECRET_FILE',
  ...KEYS,
  'JWT_ALGORITHMS',
  'JWT_LOGIN_TYPE',
  'JWT_SESSION_CLAIM',
  'JWT_IAT_IS_LOGIN',
  'JWT_GRANTS'
]

/** Of two places that say which issuers to trust, one would not be read. */
export function refusePlainIssuer (env: Record<string, string | undefined>, faults: Faults): void {
  for (const name of PLAIN) if (env[name] !== undefined) faults.add(name, 'is set, and TRUSTED_ISSUERS_FILE too: one of them')
}

/** The issuer of the plain variables: exactly one key, and algorithms that go with it, as a public key is never an HMAC secret. */
export function readFirstFactor (values: Record<string, any>, isGiven: (name: string) => boolean, faults: Faults): Issuer[] {
  const [key, other] = KEYS.filter(isGiven)
  if (key === undefined) throw new ConfigError('JWT_SECRET', 'is missing, and so are JWT_PUBLIC_KEY_FILE and JWT_JWKS_URL')
  if (other !== undefined) throw new ConfigError(other, `is set, and ${key} too: one of them`)
  values.JWT_PUBLIC_KEY = faults.try(() => readPublicKey(values.JWT_PUBLIC_KEY_FILE))
  const isSymmetric = key === 'JWT_SECRET'
  const fitting = values.JWT_PUBLIC_KEY === undefined ? undefined : algorithmsOf(values.JWT_PUBLIC_KEY)
  values.JWT_ALGORITHMS ??= defaultAlgorithms(isSymmetric, fitting)
  const algorithms: string[] = values.JWT_ALGORITHMS
  if (algorithms.some(algorithm => algorithm.startsWith('HS') !== isSymmetric)) {
    throw new ConfigError('JWT_ALGORITHMS', isSymmetric ? 'must be HS… with JWT_SECRET' : 'must not be HS… with a public key')
  }
  if (fitting !== undefined && !algorithms.every(algorithm => fitting.includes(algorithm))) {
    throw new ConfigError('JWT_ALGORITHMS', 'does not fit the key of JWT_PUBLIC_KEY_FILE')
  }
  const entry = {
    issuer: values.JWT_ISSUER,
    audience: values.JWT_AUDIENCE,
    secret: values.JWT_SECRET,
    publicKey: values.JWT_PUBLIC_KEY,
    jwksUrl: values.JWT_JWKS_URL,
    loginType: values.JWT_LOGIN_TYPE,
    sessionClaim: values.JWT_SESSION_CLAIM,
    iatIsLogin: values.JWT_IAT_IS_LOGIN,
    grants: values.JWT_GRANTS
  }
  return [toIssuer(entry as IssuerEntry, algorithms)]
}

function readPublicKey (path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  return parsePublicKey('JWT_PUBLIC_KEY_FILE', readText('JWT_PUBLIC_KEY_FILE', path))
}
