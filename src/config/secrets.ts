import { type Issuer, isSymmetric } from '../http/auth/issuer.ts'
import type { KeyRing, KeySet } from '../keys/keys.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import type { Config } from './config.ts'
import type { SigningKey } from './signing-keys.ts'

/** What is read once: everything but the keys, of which `Secrets` has the present ones. */
export type Settings =
  & Omit<
    Config,
    | 'DATABASE_URL'
    | 'DATABASE_OWNER_URL'
    | 'JWT_SECRET'
    | 'JWT_PUBLIC_KEY'
    | 'MFA_SIGNING_KEYS'
    | 'MFA_ENCRYPTION_KEYS'
    | 'MFA_PEPPERS'
    | 'WEBHOOK_SECRET'
    | 'ISSUERS'
  >
  & Readonly<{ ISSUERS: ReadonlyArray<Omit<Issuer, 'key'>> }>

/** The keys as they are now. Ask at each use and keep nothing of it: a file may have changed since. */
export class Secrets {
  #config: Config
  #areProved: boolean

  /** @param areProved false until the keys were checked against the database: then nothing is sealed, opened or hashed */
  constructor (config: Config, areProved = true) {
    this.#config = config
    this.#areProved = areProved
  }

  get sealing (): KeyRing { return this.#proved().MFA_ENCRYPTION_KEYS }
  get peppers (): KeyRing { return this.#proved().MFA_PEPPERS }
  /** The first signs, all are published. */
  get signing (): readonly SigningKey[] { return this.#config.MFA_SIGNING_KEYS }
  /** Each signs webhook events. */
  get webhook (): readonly string[] { return this.#config.WEBHOOK_SECRET ?? [] }
  get databaseUrl (): string | undefined { return this.#config.DATABASE_URL }
  get areProved (): boolean { return this.#areProved }

  /** The HMAC secret, or the PEM, of the n-th of the configured issuers. */
  issuerKey (index: number): string | undefined { return this.#config.ISSUERS[index]?.key }

  /** Takes over the keys of a configuration that was read anew and proved. Answers what else of it would need a restart. */
  use (next: Config): string[] {
    const { ISSUERS, PASSKEYS, DATABASE_URL } = this.#config
    const areIssuersOther = shapeOf(next.ISSUERS) !== shapeOf(ISSUERS)
    const arePasskeysOther = JSON.stringify(next.PASSKEYS) !== JSON.stringify(PASSKEYS)
    const isDatabaseOther = placeOf(next.DATABASE_URL) !== placeOf(DATABASE_URL)
    this.#config = {
      ...next,
      ...(areIssuersOther && { ISSUERS }),
      ...(arePasskeysOther && { PASSKEYS }),
      ...(isDatabaseOther && { DATABASE_URL })
    }
    this.#areProved = true
    return [
      ...(areIssuersOther ? ['the issuers'] : []),
      ...(arePasskeysOther ? ['PASSKEYS_FILE'] : []),
      ...(isDatabaseOther ? ['DATABASE_URL'] : [])
    ]
  }

  #proved (): Config {
    if (!this.#areProved) throw new UnavailableError('the keys were not compared with the database yet')
    return this.#config
  }
}

export const keySet = ({ MFA_ENCRYPTION_KEYS, MFA_PEPPERS, MFA_SIGNING_KEYS }: Config): KeySet => ({
  sealing: MFA_ENCRYPTION_KEYS,
  peppers: MFA_PEPPERS,
  signing: MFA_SIGNING_KEYS
})

/** All of the issuers but their secrets. A public key is none: its provider publishes several at a JWKS URL. */
const shapeOf = (issuers: readonly Issuer[]): string =>
  JSON.stringify(issuers.map(({ key, ...rest }) => isSymmetric(rest.algorithms) ? rest : { key, ...rest }))

/** All of a database's URL but who signs in: half of the connections must not be to another database. */
const placeOf = (databaseUrl: string | undefined): string | undefined => databaseUrl?.replace(/^([^/]*\/\/)[^/?#]*@/, '$1')
