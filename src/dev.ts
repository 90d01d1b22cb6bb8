import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the embedded database and the development keys. */
export const DATA_DIR = fileURLToPath(new URL('../.data/', import.meta.url))

/** The issuer whose first-factor tokens `npm run token` makes. */
export const DEV_ISSUER = 'http://localhost/development-issuer'
export const DEV_AUDIENCE = 'headless-mfa'

const random = (): string => randomBytes(32).toString('base64')

/** Keys for one machine, made once and kept (mode 0600), under the names of the variables. Never used in production. */
export function developmentKeys (dataDir = DATA_DIR): Record<string, string> {
  const path = join(dataDir, 'keys.json')
  mkdirSync(dataDir, { recursive: true })
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: { format: 'pem', type: 'pkcs8' }, publicKeyEncoding: { format: 'pem', type: 'spki' } })
    const jwk = { ...createPrivateKey(privateKey).export({ format: 'jwk' }), kid: 'development' }
    const keys = {
      JWT_SECRET: random(),
      MFA_SIGNING_KEYS: JSON.stringify({ keys: [jwk] }),
      MFA_ENCRYPTION_KEYS: `dev:${random()}`,
      MFA_PEPPERS: `dev:${random()}`
    }
    // wx: of two starts at once, one makes the keys and the other reads them.
    try { writeFileSync(path, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600, flag: 'wx' }) } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  chmodSync(path, 0o600)
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>
}

/** What the environment leaves open, filled with what is good on a developer's machine. */
export function developmentEnvironment (env: NodeJS.ProcessEnv, dataDir = DATA_DIR): NodeJS.ProcessEnv {
  const keys = developmentKeys(dataDir)
  const hasIssuerKey = ['JWT_SECRET', 'JWT_PUBLIC_KEY_FILE', 'JWT_JWKS_URL', 'JWT_SECRET_FILE'].some(name => env[name] !== undefined)
  const port = env.PORT ?? '3000'
  const defaults: Record<string, string> = {
    ...keys,
    JWT_ISSUER: DEV_ISSUER,
    JWT_AUDIENCE: DEV_AUDIENCE,
    MFA_ISSUER: `http://localhost:${port}`,
    MFA_AUDIENCE: 'headless-mfa'
  }
  if (hasIssuerKey || env.TRUSTED_ISSUERS_FILE !== undefined) delete defaults.JWT_SECRET
  if (env.TRUSTED_ISSUERS_FILE !== undefined) for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE']) delete defaults[name]
  for (const name of Object.keys(defaults)) if (env[`${name}_FILE`] !== undefined) delete defaults[name]
  return { ...defaults, ...env }
}
