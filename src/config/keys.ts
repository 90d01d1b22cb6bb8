import { type Issuer, isSymmetric } from '../core/issuer.ts'
import type { KeyRing, Purpose } from '../core/keys.ts'
import { ConfigError, refuseSample, type Reader } from './readers.ts'
import type { SigningKey } from './signing-keys.ts'
import { secretBytes } from './webhook.ts'

export const variableOf = { sealing: 'MFA_ENCRYPTION_KEYS', pepper: 'MFA_PEPPERS', signing: 'MFA_SIGNING_KEYS' } as const satisfies Record<Purpose, string>

/** `id:base64,…` with 32 bytes each. */
const readRing: Reader<KeyRing> = (name, raw) => {
  const keys = new Map<string, Buffer>()
  for (const part of raw.split(',')) {
    const match = /^([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/_-]+={0,2})$/.exec(part.trim())
    if (match === null) throw new ConfigError(name, 'is not of the form id:base64,…')
    const [, id, base64] = match as unknown as [string, string, string]
    const key = Buffer.from(base64, 'base64')
    if (key.length !== 32) throw new ConfigError(name, `has a key of ${key.length} bytes where 32 are needed`)
    refuseSample(name, key)
    if (keys.has(id)) throw new ConfigError(name, 'has two keys of one id')
    if ([...keys.values()].some(other => other.equals(key))) throw new ConfigError(name, 'has the same key twice')
    keys.set(id, key)
  }
  return { primary: keys.keys().next().value as string, keys }
}

export const parseSealingKeys = readRing
export const parsePeppers = readRing

/** A key serves one purpose: what leaks in one place must not open another. */
export function refuseReused (values: Record<string, unknown>): void {
  const seen = new Map<string, string>()
  const see = (name: string, material: Buffer): void => {
    const hex = material.toString('hex')
    if (seen.has(hex)) throw new ConfigError(name, `holds a key of ${seen.get(hex) as string} too: each purpose needs its own`)
    seen.set(hex, name)
  }
  const rings = ['MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS'] as const
  for (const name of rings) for (const key of (values[name] as KeyRing).keys.values()) see(name, key)
  for (const key of values.MFA_SIGNING_KEYS as SigningKey[]) see('MFA_SIGNING_KEYS', key.material)
  for (const secret of values.WEBHOOK_SECRET as string[] | undefined ?? []) see('WEBHOOK_SECRET', secretBytes(secret))
  // What first-factor tokens are signed with, where that is a secret. One that several issuers share is theirs alone.
  const name = values.JWT_SECRET === undefined ? 'TRUSTED_ISSUERS_FILE' : 'JWT_SECRET'
  const shared = (values.ISSUERS as Issuer[]).filter(({ algorithms }) => isSymmetric(algorithms)).map(({ key }) => key as string)
  for (const secret of new Set(shared)) {
    see(name, Buffer.from(secret))
    // The same text once as it is and once decoded is one key all the same.
    see(name, Buffer.from(secret, 'base64'))
  }
}
