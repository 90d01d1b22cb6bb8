import { type Issuer, isSymmetric } from '../http/auth/issuer.ts'
import type { KeyRing, Purpose } from '../keys/keys.ts'
import type { Faults } from './faults.ts'
import { refusePlaceholder } from './placeholder.ts'
import { ConfigError, type Reader } from './readers.ts'
import type { SigningKey } from './signing-keys.ts'
import { secretBytes } from './webhook.ts'

export const variableOf = { sealing: 'MFA_ENCRYPTION_KEYS', pepper: 'MFA_PEPPERS', signing: 'MFA_SIGNING_KEYS' } as const satisfies Record<
  Purpose,
  string
>

/** `id:base64,…` with 32 bytes each. */
const readRing = (purpose: 'sealing' | 'pepper'): Reader<KeyRing> => (name, raw) => {
  const keys = new Map<string, Buffer>()
  for (const part of raw.split(',')) {
    const match = /^([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/_-]+={0,2})$/.exec(part.trim())
    if (match === null) throw new ConfigError(name, 'is not of the form id:base64,…')
    const [, id, base64] = match as unknown as [string, string, string]
    const key = Buffer.from(base64, 'base64')
    if (key.length !== 32) throw new ConfigError(name, `has a key of ${key.length} bytes where 32 are needed`)
    refusePlaceholder(name, key, `npm run keys -- add ${purpose}`)
    if (keys.has(id)) throw new ConfigError(name, 'has two keys of one id')
    if ([...keys.values()].some(other => other.equals(key))) throw new ConfigError(name, 'has the same key twice')
    keys.set(id, key)
  }
  return { primary: keys.keys().next().value as string, keys }
}

export const parseSealingKeys = readRing('sealing')
export const parsePeppers = readRing('pepper')

/** A key serves one purpose: what leaks in one place must not open another. */
export function refuseReused (values: Record<string, unknown>, faults: Faults): void {
  const seen = new Map<string, string>()
  for (const [name, material] of materialsOf(values)) {
    const hex = material.toString('hex')
    const other = seen.get(hex)
    if (other === undefined) seen.set(hex, name)
    else faults.add(name, `holds a key of ${other} too: each purpose needs its own`)
  }
}

/** All keys, as bytes, each with the variable that has it. */
export function * materialsOf (values: Record<string, unknown>): Generator<[name: string, material: Buffer]> {
  for (const name of ['MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) {
    for (const key of (values[name] as KeyRing | undefined)?.keys.values() ?? []) yield [name, key]
  }
  for (const key of values.MFA_SIGNING_KEYS as SigningKey[] | undefined ?? []) yield ['MFA_SIGNING_KEYS', key.material]
  for (const secret of values.WEBHOOK_SECRET as string[] | undefined ?? []) yield ['WEBHOOK_SECRET', secretBytes(secret)]
  // What first-factor tokens are signed with, where that is a secret. One that several issuers share is theirs alone.
  const shared = new Map(issuerSecrets(values).map(([name, secret]) => [secret, name]))
  for (const [secret, name] of shared) {
    yield [name, Buffer.from(secret)]
    // The same text once as it is and once decoded is one key all the same.
    yield [name, Buffer.from(secret, 'base64')]
  }
}

/** The secrets of issuers, each with where it stands. */
export function issuerSecrets (values: Record<string, unknown>): Array<[name: string, secret: string]> {
  if (values.JWT_SECRET !== undefined) return [['JWT_SECRET', values.JWT_SECRET as string]]
  return (values.ISSUERS as Issuer[] | undefined ?? []).flatMap(({ algorithms, key }, index) =>
    isSymmetric(algorithms) && key !== undefined ? [[`TRUSTED_ISSUERS_FILE [${index}].secret`, key]] : []
  )
}
