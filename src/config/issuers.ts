import { Type, type Static } from 'typebox'
import type { ClaimPath, Issuer, Methods } from '../http/auth/issuer.ts'
import { MAX_LENGTH, NAME } from '../platform/text.ts'
import { checkShape } from './entries.ts'
import type { Faults } from './faults.ts'
import { readText } from './files.ts'
import { algorithmsOf, defaultAlgorithms, parsePublicKey } from './public-key.ts'
import { ConfigError, type Reader, secret, text, url } from './readers.ts'

export const ALGORITHMS = [
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA'
] as const
export const ROLES = ['mfa:admin', 'mfa:support', 'mfa:auditor', 'mfa:sync'] as const
const MACHINE_ROLES: readonly string[] = ['mfa:auditor', 'mfa:sync']

/** Headers that mean something else already. */
const TAKEN_HEADERS = new Set(['authorization', 'cookie', 'host', 'content-type', 'content-length'])

/** Claims that say when: two logins of one second would be one session, so an attacker with the password would share its second factor. */
const TIMES = ['auth_time', 'iat', 'exp', 'nbf']
const A_TIME =
  'names a time, which two logins may share: name a claim that is another for each login, or leave it out, and no second factor is ' +
  'remembered'

const FILE = 'TRUSTED_ISSUERS_FILE'

const DAY_SECONDS = 86_400

const Text = (maxLength: number): ReturnType<typeof Type.String> => Type.String({ minLength: 1, maxLength, pattern: NAME })
const Texts = (maxLength: number) => Type.Array(Text(maxLength), { minItems: 1, maxItems: 100, uniqueItems: true })
const OneOrMore = Type.Union([Text(512), Texts(512)])
/** A name, or the names on the way down. */
const Path = Type.Optional(Type.Union([Text(255), Type.Array(Text(255), { minItems: 1, maxItems: 8 })]))
const strict = { additionalProperties: false }
const METHODS = { amr: Type.Optional(OneOrMore), acr: Type.Optional(OneOrMore) }

const Entry = Type.Object({
  issuer: Text(512),
  audience: OneOrMore,
  audienceClaim: Type.Optional(Text(255)),
  algorithms: Type.Optional(Type.Array(Type.Enum([...ALGORITHMS]), { minItems: 1 })),
  jwksUrl: Type.Optional(Type.String()),
  publicKey: Type.Optional(Type.String()),
  secret: Type.Optional(Type.String()),
  tokenUse: Type.Optional(Type.Enum(['access', 'id'])),
  loginType: Type.Optional(Type.Enum(['local', 'sso', 'api', 'service'])),
  namespace: Type.Optional(Text(MAX_LENGTH.namespace)),
  tenant: Type.Optional(Text(MAX_LENGTH.tenant)),
  tenants: Type.Optional(Type.Union([Type.Literal('*'), Texts(MAX_LENGTH.tenant)])),
  grants: Type.Optional(Type.Array(Type.Enum([...ROLES]))),
  claims: Type.Optional(Type.Object({
    subject: Path, account: Path, tenant: Path, groups: Path, roles: Path, accounts: Path, amr: Path, acr: Path, authTime: Path
  }, strict)),
  mfa: Type.Optional(
    Type.Object({
      ...METHODS,
      maxAgeSeconds: Type.Integer({ minimum: 1, maximum: 2592000 }),
      phishingResistant: Type.Optional(Type.Object(METHODS, strict))
    }, strict)
  ),
  sessionClaim: Type.Optional(Type.Union([Text(255), Texts(255), Type.Null()])),
  iatIsLogin: Type.Optional(Type.Boolean()),
  maxTokenSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 366 * DAY_SECONDS })),
  isTokenCapped: Type.Optional(Type.Boolean()),
  loginUrl: Type.Optional(Type.String()),
  header: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }))
}, strict)

export type IssuerEntry = Static<typeof Entry>

/** What the entries must go with. */
export interface Surroundings { ownIssuer: string, trustedProxies: readonly string[] }

/**
 * The issuers of the file. A fault names the variable, the entry's index and the member, never a value.
 * @throws ConfigError if it is no list
 */
export function readIssuers (path: string, surroundings: Surroundings, faults: Faults): Issuer[] {
  let entries: unknown
  const text = readText(FILE, path)
  try { entries = JSON.parse(text) } catch { throw new ConfigError(FILE, 'is not JSON') }
  if (!Array.isArray(entries) || entries.length === 0) throw new ConfigError(FILE, 'is not an array with an entry')
  const isOneOfSeveral = entries.length > 1
  const issuers = entries.flatMap((entry: unknown, index) =>
    faults.try(() => readEntry(entry, `[${index}]`, isOneOfSeveral, surroundings)) ?? []
  )
  issuers.forEach((issuer, index) => { faults.try(() => { refuseTwins(issuer, issuers.slice(0, index), `[${index}]`) }) })
  return issuers
}

const fail = (where: string, why: string): never => { throw new ConfigError(`${FILE} ${where}`, why) }

function readEntry (entry: unknown, where: string, isOneOfSeveral: boolean, { ownIssuer, trustedProxies }: Surroundings): Issuer {
  checkShape(Entry, entry, FILE, where)
  if (entry.issuer === ownIssuer) fail(`${where}.issuer`, 'equals MFA_ISSUER: a first-factor token must not look like ours')
  if (entry.tenant !== undefined && entry.tenants !== undefined) fail(where, 'has tenant, and tenants too: one of them')
  if (isOneOfSeveral && entry.tenant === undefined && entry.tenants === undefined) {
    fail(where, 'has neither tenant nor tenants: with several issuers, each must say which tenants it speaks for')
  }
  for (const [member, methods] of [['mfa', entry.mfa], ['mfa.phishingResistant', entry.mfa?.phishingResistant]] as const) {
    if (methods !== undefined && methods.amr === undefined && methods.acr === undefined) fail(`${where}.${member}`, 'has neither amr nor acr')
  }
  if (entry.loginType === 'service' && entry.grants?.some(role => !MACHINE_ROLES.includes(role)) === true) {
    fail(`${where}.grants`, `holds a role that no machine may have: with the login type service only ${MACHINE_ROLES.join(' and ')}`)
  }
  if (sessionClaimsOf(entry).some(claim => [...TIMES, ...[entry.claims?.authTime ?? []].flat()].includes(claim))) {
    fail(`${where}.sessionClaim`, A_TIME)
  }
  checkHeader(entry, where, trustedProxies)
  if (entry.loginUrl !== undefined) url(['https:'], { isLoopbackHttpAllowed: true })(`${FILE} ${where}.loginUrl`, entry.loginUrl)
  return toIssuer(entry, checkKey(entry, where), `${FILE} ${where}`)
}

/** Exactly one key, and algorithms that go with it: a public key is never an HMAC secret. */
function checkKey (entry: IssuerEntry, where: string): readonly string[] {
  const given = (['secret', 'publicKey', 'jwksUrl'] as const).filter(name => entry[name] !== undefined)
  if (given.length !== 1) {
    fail(where, `has ${given.length === 0 ? 'none' : 'more than one'} of secret, publicKey and jwksUrl: one is needed`)
  }
  if (entry.secret !== undefined) secret(32)(`${FILE} ${where}.secret`, entry.secret)
  const fitting = entry.publicKey === undefined ? undefined : algorithmsOf(parsePublicKey(`${FILE} ${where}.publicKey`, entry.publicKey))
  if (entry.jwksUrl !== undefined) url(['https:'], { isLoopbackHttpAllowed: true })(`${FILE} ${where}.jwksUrl`, entry.jwksUrl)
  const isSymmetric = entry.secret !== undefined
  const algorithms = entry.algorithms ?? defaultAlgorithms(isSymmetric, fitting)
  if (algorithms.some(algorithm => algorithm.startsWith('HS') !== isSymmetric)) {
    fail(`${where}.algorithms`, isSymmetric ? 'must be HS… with a secret' : 'must not be HS… with a public key')
  }
  if (fitting !== undefined && !algorithms.every(algorithm => fitting.includes(algorithm))) {
    fail(`${where}.algorithms`, 'does not fit the publicKey')
  }
  return algorithms
}

function checkHeader (entry: IssuerEntry, where: string, trustedProxies: readonly string[]): void {
  if (entry.header === undefined) return
  if (TAKEN_HEADERS.has(entry.header.toLowerCase())) fail(`${where}.header`, 'is a header that means something else')
  if (entry.sessionClaim === undefined) {
    fail(where, 'has a header and no sessionClaim: name one, or null where the application brings our token in a cookie of its own')
  }
  if (trustedProxies.length === 0) fail(`${where}.header`, 'is read only from TRUSTED_PROXIES, which is empty')
}

/** A token of one issuer must fit one entry at most. */
function refuseTwins ({ issuer, audienceClaim, audiences }: Issuer, others: Issuer[], where: string): void {
  const isTwin = (other: Issuer): boolean =>
    other.issuer === issuer && (other.audienceClaim !== audienceClaim || other.audiences.some(audience => audiences.includes(audience)))
  if (others.some(isTwin)) fail(`${where}.audience`, 'is another entry\'s too, of the same issuer: the audience picks the entry')
}

/** JWT_SESSION_CLAIM. */
export const sessionClaim: Reader<string> = (name, raw) => {
  if (TIMES.includes(raw)) throw new ConfigError(name, A_TIME)
  return text(255)(name, raw)
}

const pathOf = (claim: string | string[] | undefined, fallback: string): ClaimPath => claim === undefined ? [fallback] : [claim].flat()
const listOf = (value: string | string[]): string[] => [value].flat()
const methodsOf = ({ amr, acr }: Pick<NonNullable<IssuerEntry['mfa']>, keyof Methods>): Methods => ({
  amr: amr === undefined ? undefined : listOf(amr),
  acr: acr === undefined ? undefined : listOf(acr)
})
const sessionClaimsOf = ({ sessionClaim }: IssuerEntry): string[] => listOf(sessionClaim ?? [])

/** An entry with its defaults; the plain variables are one too. */
export function toIssuer (entry: IssuerEntry, algorithms: readonly string[], place?: string): Issuer {
  const { claims = {}, mfa, tenant } = entry
  return {
    place,
    issuer: entry.issuer,
    audiences: listOf(entry.audience),
    audienceClaim: entry.audienceClaim ?? 'aud',
    algorithms,
    key: entry.secret ?? entry.publicKey,
    jwksUrl: entry.jwksUrl,
    tokenUse: entry.tokenUse ?? 'access',
    loginType: entry.loginType ?? 'local',
    namespace: entry.namespace ?? entry.issuer,
    tenant,
    isTenantRequired: tenant === undefined && claims.tenant !== undefined,
    tenants: tenant === undefined ? entry.tenants ?? '*' : [tenant],
    grants: entry.grants ?? [],
    claims: {
      subject: pathOf(claims.subject, 'sub'),
      account: claims.account === undefined ? [['preferred_username'], ['email']] : [pathOf(claims.account, '')],
      tenant: pathOf(claims.tenant, 'tenant'),
      groups: pathOf(claims.groups, 'groups'),
      roles: pathOf(claims.roles, 'roles'),
      accounts: pathOf(claims.accounts, 'accounts'),
      amr: pathOf(claims.amr, 'amr'),
      acr: pathOf(claims.acr, 'acr'),
      authTime: pathOf(claims.authTime, 'auth_time')
    },
    mfa: mfa === undefined
      ? undefined
      : {
          ...methodsOf(mfa),
          maxAgeSeconds: mfa.maxAgeSeconds,
          phishingResistant: mfa.phishingResistant === undefined ? undefined : methodsOf(mfa.phishingResistant)
        },
    sessionClaims: sessionClaimsOf(entry),
    isIatLogin: entry.iatIsLogin ?? false,
    // What lives for longer is no login's. A personal token is meant to.
    maxTokenSeconds: entry.maxTokenSeconds ?? (entry.loginType === 'api' ? 366 : 1) * DAY_SECONDS,
    isTokenCapped: entry.isTokenCapped ?? true,
    loginUrl: entry.loginUrl,
    header: entry.header?.toLowerCase()
  }
}
