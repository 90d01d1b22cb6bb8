import { createHash } from 'node:crypto'
import { MAX_LENGTH } from '../../platform/text.ts'
import { CLOCK_SKEW_SECONDS } from '../../platform/time.ts'
import type { Caller, IssuerClaims, Session } from './caller.ts'
import {
  type Claims,
  type ListReading,
  readId,
  readList,
  readName,
  readSeconds,
  readTime,
  resolve,
  valueAt,
  type JwsHeader
} from './claims.ts'
import { type ClaimPath, entryOf, type Issuer, type Methods, settingOf } from './issuer.ts'
import { COME, EXPIRED, type Refusal, refuse, RefusedToken, written } from './refused-token.ts'
import { refuseOtherKind } from './token-kind.ts'

export type { Issuer }

/** Does it name one of the audiences that the entry is for? Text, or a list of nothing else (RFC 7519 §4.1.3). */
export function namesAudience (claims: Claims, { audienceClaim, audiences }: Issuer): boolean {
  const named = Object.hasOwn(claims, audienceClaim) ? [claims[audienceClaim]].flat() : []
  return named.every(audience => typeof audience === 'string') && audiences.some(audience => named.includes(audience))
}

/** The one entry that a token is held against, by the issuer and the audience that it names. @throws RefusedToken */
export function pickEntry<E extends { issuer: Issuer }> (claims: Claims, among: readonly E[]): E {
  const ofIssuer = among.filter(({ issuer }) => claims.iss === issuer.issuer)
  const [first, another] = ofIssuer
  if (first === undefined) {
    const expected = [...new Set(among.map(({ issuer }) => issuer.issuer))]
    return refuse('issuer', { claim: 'iss', value: claims.iss, expected, setting: settingOf((among[0] as E).issuer, 'issuer') })
  }
  const [entry, ...others] = ofIssuer.filter(({ issuer }) => namesAudience(claims, issuer))
  const claim = first.issuer.audienceClaim
  const about = { claim, value: valueAt(claims, [claim]), ...(another === undefined && { entry: entryOf(first.issuer) }) }
  if (entry === undefined) {
    return refuse('audience', {
      ...about,
      expected: ofIssuer.flatMap(({ issuer }) => issuer.audiences),
      setting: settingOf(first.issuer, 'audience')
    })
  }
  return others.length === 0 ? entry : refuse('ambiguous', { ...about, expected: 'the audience of only one entry' })
}

/** The caller that the verified claims name. @throws RefusedToken */
export function readCaller (header: JwsHeader, claims: Claims, issuer: Issuer, now: Date): Caller {
  refuseOtherKind(header, claims, issuer)
  const { claims: paths } = issuer
  const nowSeconds = now.getTime() / 1000
  const subject = readSubject(claims, issuer)
  const { issuedAt, expiresAt } = readTimes(claims, issuer, nowSeconds)
  const isMachine = issuer.loginType === 'service' || isClientsOwn(claims)
  const claimedLogin = readTime(claims, paths.authTime)
  // A login in the future is none.
  const loginAt = notAfter(resolve(claimedLogin, optional), nowSeconds + CLOCK_SKEW_SECONDS)
  const groups = readList(claims, paths.groups)
  const isIdpMfa = !isMachine && hasIdpMfa(claims, issuer, loginAt, nowSeconds)
  return {
    kind: isMachine ? 'service' : 'first',
    tenant: readTenant(claims, issuer),
    namespace: issuer.namespace,
    subject,
    roles: readRoles(claims, issuer, isMachine),
    groups: groups.state === 'absent' ? undefined : groups.items,
    clientId: firstName(claims, [['client_id'], ['azp']]),
    session: readSession(claims, issuer),
    amr: itemsOf(readList(claims, paths.amr)),
    authTime: issuer.isIatLogin && claimedLogin.state === 'absent' ? issuedAt : loginAt,
    expiresAt,
    isIdpMfa,
    isIdpPhr: isIdpMfa && issuer.mfa?.phishingResistant !== undefined && wasDoneBy(claims, issuer, issuer.mfa.phishingResistant),
    isTokenCapped: issuer.isTokenCapped,
    issuerClaims: isMachine ? undefined : readIssuerClaims(claims, issuer, groups, issuedAt ?? expiresAt - issuer.maxTokenSeconds),
    mfa: undefined
  }
}

/** What must be there. */
function required (
  claims: Claims,
  path: ClaimPath,
  about: Pick<Refusal, 'expected' | 'setting'>
): { absent: () => never, unreadable: () => never } {
  const claim = written(path)
  return {
    absent: () => refuse('absent', { claim, ...about }),
    unreadable: () => refuse('unreadable', { claim, value: valueAt(claims, path), ...about })
  }
}

const nameOf = (maxLength: number): string => `a text of 1 to ${maxLength} characters`

export const readSubject = (claims: Claims, issuer: Issuer): string => resolve(readName(claims, issuer.claims.subject, MAX_LENGTH.subject),
  required(claims, issuer.claims.subject, { expected: nameOf(MAX_LENGTH.subject), setting: settingOf(issuer, 'claims.subject') }))

const nothing = (): undefined => undefined

/** Where what cannot be read is no more than nothing: what is shown to users, and what only ever opens something. */
const optional = { absent: nothing, unreadable: nothing }

/** As much of a list as opens something. */
const itemsOf = (list: ListReading): string[] => list.state === 'absent' ? [] : list.items

const firstName = (claims: Claims, paths: readonly ClaimPath[]): string | undefined =>
  paths.map(path => resolve(readName(claims, path, MAX_LENGTH.account), optional)).find(name => name !== undefined)

const A_TIME = { expected: 'seconds since 1970' }

/** No skew here: a token made from one that is over would be born dead. */
export function refuseOver (expiresAt: number, nowSeconds: number): void {
  if (expiresAt <= nowSeconds) throw new RefusedToken({ ...EXPIRED, value: expiresAt })
}

export function readTimes (claims: Claims, issuer: Issuer, nowSeconds: number): { issuedAt: number | undefined, expiresAt: number } {
  const expiresAt = resolve(readSeconds(claims, ['exp']), required(claims, ['exp'], A_TIME))
  refuseOver(expiresAt, nowSeconds)
  const issuedAt = resolve(readSeconds(claims, ['iat']), { ...required(claims, ['iat'], A_TIME), absent: nothing })
  if (issuedAt !== undefined && issuedAt > nowSeconds + CLOCK_SKEW_SECONDS) {
    refuse('not_yet', { claim: 'iat', value: issuedAt, expected: COME })
  }
  const { maxTokenSeconds } = issuer
  const seconds = expiresAt - (issuedAt ?? nowSeconds)
  if (seconds > maxTokenSeconds) {
    refuse('lifetime', {
      claim: 'exp',
      why: `it lasts for ${Math.ceil(seconds)} seconds`,
      expected: `at most ${maxTokenSeconds}`,
      setting: settingOf(issuer, 'maxTokenSeconds')
    })
  }
  return { issuedAt, expiresAt }
}

const notAfter = (time: number | undefined, latest: number): number | undefined => time !== undefined && time <= latest ? time : undefined

/**
 * The tenant that the token is of: like the subject, it says who it is. One that cannot be read names no user, and so does one that
 * its issuer does not speak for.
 */
export function readTenant (claims: Claims, issuer: Issuer): string {
  const { claims: { tenant: path }, tenant, tenants, isTenantRequired } = issuer
  const { absent, unreadable } = required(claims, path, {
    expected: nameOf(MAX_LENGTH.tenant),
    setting: settingOf(issuer, 'claims.tenant')
  })
  const name = resolve(readName(claims, path, MAX_LENGTH.tenant), {
    absent: () => tenant ?? (isTenantRequired ? absent() : 'default'),
    unreadable
  })
  return tenants === '*' || tenants.includes(name)
    ? name
    : refuse('not_allowed', { claim: written(path), value: name, expected: tenants, setting: settingOf(issuer, 'tenants') })
}

/** Roles that are not ours pass; of ours those that were granted, to a client of a login type of users none. */
function readRoles (claims: Claims, { claims: paths, grants, loginType }: Issuer, isMachine: boolean): string[] {
  const granted = isMachine && loginType !== 'service' ? [] : grants
  return itemsOf(readList(claims, paths.roles)).filter(role => !role.startsWith('mfa:') || granted.includes(role))
}

/**
 * A client that got a token for itself is no user (RFC 9068 §2.2, RFC 8725 §3.8), though it came by a login type of users:
 * its subject is the client, or the provider says so (Auth0 `gty`, Entra `idtyp`).
 */
const isClientsOwn = (claims: Claims): boolean =>
  mayHold(readList(claims, ['gty']), 'client-credentials') || mayHold(readList(claims, ['idtyp']), 'app') ||
  ['client_id', 'azp', 'cid'].some(name => Object.hasOwn(claims, name) && String(claims[name]) === claims.sub)

/** Is it in the list, or may it be in what cannot be read of it? */
const mayHold = (list: ListReading, item: string): boolean => list.state === 'present' && (!list.isWhole || list.items.includes(item))

/** The provider's own MFA: as it is configured, and not long ago, by `auth_time` alone. */
const hasIdpMfa = (claims: Claims, issuer: Issuer, loginAt: number | undefined, nowSeconds: number): boolean =>
  issuer.mfa !== undefined && loginAt !== undefined && nowSeconds - loginAt <= issuer.mfa.maxAgeSeconds &&
  wasDoneBy(claims, issuer, issuer.mfa)

/** Does each condition that is configured hold, of a list that is read whole? */
function wasDoneBy (claims: Claims, { claims: paths }: Issuer, methods: Methods): boolean {
  const amr = readList(claims, paths.amr)
  const acr = resolve(readName(claims, paths.acr, 255), optional)
  return (methods.amr === undefined ||
    (amr.state === 'present' && amr.isWhole && methods.amr.some(method => amr.items.includes(method)))) &&
    (methods.acr === undefined || (acr !== undefined && methods.acr.includes(acr)))
}

/** The first of the session claims that is there, which is remembered, else `sid`, to which an enrollment is bound. */
function readSession (claims: Claims, { issuer, sessionClaims }: Issuer): Session | undefined {
  const name = [...sessionClaims, 'sid'].find(name => Object.hasOwn(claims, name) && claims[name] !== null)
  if (name === undefined) return undefined
  const id = resolve(readId(claims, [name]), optional)
  // One that cannot be read is a session all the same, so that it agrees with no other; but nothing is remembered for it.
  return { id: id ?? digestOf(claims[name]), issuer, isRemembered: id !== undefined && sessionClaims.includes(name) }
}

const digestOf = (value: unknown): string => `sha256:${createHash('sha256').update(JSON.stringify(value)).digest('base64url')}`

function readIssuerClaims (
  claims: Claims,
  { issuer, loginType, claims: paths }: Issuer,
  groups: ListReading,
  issuedAt: number
): IssuerClaims {
  const accounts = readList(claims, paths.accounts)
  return {
    issuer,
    account: firstName(claims, paths.account),
    loginType,
    accounts: accounts.state === 'absent' ? undefined : accountsOf(accounts),
    areGroupsUnknown: (groups.state === 'present' && !groups.isWhole) || areGroupsLeftOut(claims, paths.groups.at(-1) as string),
    issuedAt
  }
}

/** Only what says `sso` is SSO: any other account is one that a password may open, whatever it is called. */
const accountsOf = ({ items, isWhole }: Extract<ListReading, { state: 'present' }>): Array<'local' | 'sso'> => [
  ...(isWhole && items.every(account => account === 'sso') ? [] : ['local' as const]),
  ...(items.includes('sso') ? ['sso' as const] : [])
]

/** Entra ID leaves groups out of a token that would be too long, and says so in one of two ways. */
function areGroupsLeftOut (claims: Claims, groupsClaim: string): boolean {
  const elsewhere = claims._claim_names
  return claims.hasgroups === true || claims.hasgroups === 'true' ||
    (typeof elsewhere === 'object' && elsewhere !== null && Object.hasOwn(elsewhere, groupsClaim))
}
