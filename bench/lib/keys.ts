// The keys of one run, and what they sign: the issuer's tokens.
import { createHmac, createSecretKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'

export const ISSUER = 'https://id.test'
export const AUDIENCE = 'mfa'
export const SECRET = randomBytes(48).toString('base64url')
export const SEALING_KEY = randomBytes(32)
export const PEPPER = randomBytes(32)
export const PEPPERS = { primary: 'p1', keys: new Map([['p1', PEPPER]]) }
const signingKey = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'bench-1' }

/** As in production, but for the flood limit: all the load comes from one address. */
export const environment = (databaseUrl: string, port: number): Record<string, string> => ({
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  PORT: String(port),
  DATABASE_URL: databaseUrl,
  JWT_ISSUER: ISSUER,
  JWT_AUDIENCE: AUDIENCE,
  JWT_SECRET: SECRET,
  JWT_SESSION_CLAIM: 'sid',
  MFA_ISSUER: 'https://mfa.test',
  MFA_AUDIENCE: 'mfa-own',
  MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey] }),
  MFA_ENCRYPTION_KEYS: `k1:${SEALING_KEY.toString('base64')}`,
  MFA_PEPPERS: `p1:${PEPPER.toString('base64')}`,
  RATE_LIMIT_PER_MINUTE: '0',
  LOG_LEVEL: 'info'
})

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Of `header.payload`. */
export type Sign = (input: string) => string

const key = createSecretKey(Buffer.from(SECRET))
const HEADERS = new Map<Sign | undefined, string>()

/** A first-factor token of a login just now; HS256, or as `sign` says. */
export function firstToken (tenant: string, subject: string, claims: object = {}, sign?: Sign): string {
  const now = Math.floor(Date.now() / 1000)
  const header = HEADERS.get(sign) ?? encode({ alg: sign === undefined ? 'HS256' : 'ES256', typ: 'JWT' })
  HEADERS.set(sign, header)
  const input = `${header}.${
    encode({ iss: ISSUER, aud: AUDIENCE, sub: subject, tenant, amr: ['pwd'], auth_time: now, iat: now, exp: now + 3600, ...claims })
  }`
  return `${input}.${sign === undefined ? createHmac('sha256', key).update(input).digest('base64url') : sign(input)}`
}

/** An issuer that signs as identity providers do, by a key pair. */
export function asymmetricIssuer (dir: string): { env: Record<string, string | undefined>, publicPem: string, sign: Sign } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicPem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const file = `${dir}/issuer.pem`
  writeFileSync(file, publicPem)
  return {
    env: { JWT_SECRET: undefined, JWT_PUBLIC_KEY_FILE: file },
    publicPem,
    sign: input => sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  }
}
