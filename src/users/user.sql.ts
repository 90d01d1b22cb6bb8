import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Caller, FirstFactor } from '../http/auth/caller.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import type { PolicyContact } from '../policy/contact.ts'
import { toPolicy } from '../policy/policy.sql.ts'
import type { PolicyRow } from '../policy/policy.ts'
import { rememberedAuthentication } from '../sessions/mfa-token.ts'
import { isGenuine, type StoredAuthentication } from '../sessions/remembered.ts'
import { foldAccount } from './account.ts'
import { recordedClaims, claimedAccounts, claimedGroups } from './issuer-claims.ts'
import type { Credential, Factor, Pending, User, RecoverySet, RememberedSession, Throttle, TrustedDevice, WholeUser } from './user.ts'

type Json<T> = {
  [K in keyof T]: T[K] extends Date ? string : T[K] extends Date | null ? string | null : T[K] extends Buffer ? string : T[K]
}

/** What `find_users` answers: rows as they are, each with whose it is. */
interface Answer {
  readAt: string
  users: UserRow[]
  factors: FactorRow[] | null
  throttles: Array<Of<{ kind: string, failures: number, waitUntil: string | null, lockedAt: string | null }>> | null
  policy: PolicyRow | null
  sessions: SessionRow[] | null
  /** Of whole users. */
  pending: Array<Of<Json<Pending>>> | null
  sets: Array<Of<Pick<Json<RecoverySet>, 'id' | 'generatedAt' | 'acknowledgedAt'>>> | null
  codes: Array<Of<{ isUsed: boolean }>> | null
  devices: DeviceRow[] | null
}

type Of<Row> = Row & { userId: string }
type DeviceRow = Of<Json<TrustedDevice>> & { epoch: number }
type FactorRow = Of<Omit<Json<Factor>, 'credential'>> & { credential: Json<Credential> | null }

type UserRow = Pick<Json<User>, 'namespace' | 'subject' | 'account' | 'epoch' | 'revision' | 'sources' | 'isDisabled' | 'isAdministrator' |
'isCodeRequired' | 'tokensSince' | 'createdAt' | 'policyMetAt' | 'graceUntil' | 'reportedVersion'> & {
  id: string
  exemptSince: string | null
  exemptUntil: string | null
  exemptReason: string
  exemptBy: string
}

/** Without `acr` no authentication counts for the session. */
type SessionRow = Of<Omit<StoredAuthentication, 'acr'>> & {
  issuer: string,
  session: string,
  acr: StoredAuthentication['acr'] | null,
  generation: number,
  epoch: number | null,
  mac: string
}

/** Everything that a decision about the caller needs, in one statement; null if no user was seen by this name yet. */
export const findUser = (db: Database, caller: Caller, peppers: KeyRing): Promise<User | null> => find(db, caller, peppers, false)

/** As `findUser`, with what a login does not ask about. */
export const findWholeUser = (db: Database, caller: Caller, peppers: KeyRing): Promise<WholeUser | null> =>
  find<WholeUser>(db, caller, peppers, true)

/** A user of a tenant, as an administrator names them: of no session. */
export const findUserById = (db: Database, tenant: string, userId: string): Promise<WholeUser | null> =>
  findAmong<WholeUser>(db, { tenant, namespace: null, isWhole: true }, { name: userId, session: null })

/** One of the two finds them, each by a unique index: our own tokens name the user, others the subject. */
const find = <P extends User>(
  db: Database,
  { tenant, namespace, subject, session, mfa }: Caller,
  peppers: KeyRing,
  isWhole: boolean
): Promise<P | null> =>
    findAmong<P>(db, { tenant, namespace: mfa === undefined ? namespace : null, isWhole },
      { name: mfa?.userId ?? subject, session: session?.isRemembered === true ? { ...session, peppers } : null })

/** Users that are read together: of one tenant and namespace; without a namespace they are named by their ids. */
interface Among { tenant: string, namespace: string | null, isWhole: boolean }
/** `peppers`: by which what the session remembers was made. */
interface Wanted { name: string, session: { issuer: string, id: string, peppers: KeyRing } | null }

const findAmong = <P extends User>(db: Database, among: Among, wanted: Wanted): Promise<P | null> =>
  db.batched(JSON.stringify(['find_users', among]), wanted, users => findBatch(db, among, users) as Promise<Array<P | null>>)

async function findBatch (db: Database, { tenant, namespace, isWhole }: Among, users: Wanted[]): Promise<Array<User | null>> {
  const names = [...new Set(users.map(({ name }) => name))]
  const sessions = users.flatMap(({ session }) => session === null ? [] : [session.id])
  const [{ users: answer }] = await db
    .rows`SELECT find_users(${tenant}, ${namespace}, ${names}::text[], ${sessions}::text[], ${isWhole}) AS users` as [
    { users: Answer | null }
  ]
  return users.map(({ name, session }) => {
    const user = answer?.users.find(({ id, subject }) => name === (namespace === null ? id : subject))
    return answer === null || user === undefined ? null : toUser(tenant, user, answer, session, isWhole)
  })
}

/** A user as people name them. */
export interface Named { userId: string, namespace: string, subject: string }

const NAMED = { id: true, namespace: true, subject: true } as const
const toNamed = ({ id, ...names }: { id: string, namespace: string, subject: string }): Named => ({ userId: id, ...names })

/** Who has a `sub`: one for each namespace. */
export const findBySubject = async (db: Database, tenant: string, subject: string): Promise<Named[]> =>
  (await db.models(({ user }) => user.findMany({ where: { tenant, subject }, select: NAMED, orderBy: { namespace: 'asc' } }))).map(toNamed)

/** Who is shown under a name, in whatever case; three of them at most, as more than one is too many already. */
export const findByAccount = async (db: Database, tenant: string, account: string): Promise<Named[]> => (await db.models(({ user }) =>
  user.findMany({ where: { tenant, accountFold: foldAccount(account) }, select: NAMED, orderBy: { id: 'asc' }, take: 3 }))).map(toNamed)

export const hasUsers = async (db: Database, tenant: string): Promise<boolean> =>
  (await db.rows`SELECT 1 FROM users WHERE tenant = ${tenant} LIMIT 1`).length > 0

/** Does the token claim something of the user that is not recorded? Then, and only then, it costs a write. */
export function hasNewClaims ({ account, sources }: User, { issuerClaims, groups }: FirstFactor): boolean {
  const known = sources[issuerClaims.issuer]
  if (known === undefined || (issuerClaims.account !== undefined && issuerClaims.account !== account)) return true
  const accounts = claimedAccounts(issuerClaims)
  const isAccountNew = issuerClaims.accounts === undefined
    ? (accounts.local && known.local !== true) || (accounts.sso && known.sso !== true)
    : accounts.local !== known.local || accounts.sso !== known.sso
  const claimed = claimedGroups(issuerClaims, groups, known)
  return isAccountNew || claimed.groupsUnknown !== known.groupsUnknown ||
    (claimed.groups !== undefined && JSON.stringify(claimed.groups) !== JSON.stringify(known.groups))
}

/**
 * Records the first sight, or the issuer's newer claims: `seen`, or `erased` where the token is older than the user's
 * erasure. `id` is for a new user, `known` is the user before, `hashes` are what their tombstone would be.
 */
export async function upsertUser (
  db: Database,
  first: FirstFactor,
  id: string,
  known: User | null,
  hashes: string[]
): Promise<Settled<'upsert_user'>> {
  const { tenant, namespace, subject, issuerClaims } = first
  const claims = recordedClaims(first, known?.sources[issuerClaims.issuer])
  return await db.settle(
    'upsert_user',
    sql`${tenant}, ${id}::uuid, ${namespace}, ${subject}, ${issuerClaims.account ?? null}, ${issuerClaims.issuer},
    ${issuerClaims.accounts !== undefined}, ${claims}::jsonb, to_timestamp(${issuerClaims.issuedAt}::float8),
      ${JSON.stringify(hashes)}::jsonb`
  )
}

/** Records a user's contact with the policy. Decides which of parallel first calls gives them their deadline. */
export async function recordPolicyContact (
  db: Database,
  { tenant, userId, policy }: User,
  { graceDays, wouldBe, isAdministrator }: PolicyContact,
  by: By
): Promise<void> {
  await db.settle(
    'record_policy_contact',
    sql`${tenant}, ${userId}::uuid, ${policy.version}::int, ${graceDays}::int, ${wouldBe}::jsonb, ${isAdministrator}, ${by}::jsonb`
  )
}

const date = (value: string | null): Date | null => value === null ? null : new Date(value)
const bytes = (value: string): Buffer => Buffer.from(value, 'hex')

function toUser (tenant: string, row: UserRow, answer: Answer, session: Wanted['session'], isWhole: boolean): User {
  const of = <Row>(rows: Array<Of<Row>> | null): Array<Of<Row>> => rows?.filter(({ userId }) => userId === row.id) ?? []
  const readAt = new Date(answer.readAt)
  const remembered = session === null
    ? undefined
    : of(answer.sessions).find(known => known.issuer === session.issuer && known.session === session.id)
  const user: User = {
    tenant,
    userId: row.id,
    namespace: row.namespace,
    subject: row.subject,
    account: row.account,
    epoch: row.epoch,
    revision: row.revision,
    sources: row.sources,
    isDisabled: row.isDisabled,
    isAdministrator: row.isAdministrator,
    isCodeRequired: row.isCodeRequired,
    tokensSince: date(row.tokensSince),
    createdAt: new Date(row.createdAt),
    readAt,
    policyMetAt: date(row.policyMetAt),
    graceUntil: date(row.graceUntil),
    exemption: row.exemptSince === null
      ? null
      : { since: new Date(row.exemptSince), until: date(row.exemptUntil), reason: row.exemptReason, by: row.exemptBy },
    reportedVersion: row.reportedVersion,
    factors: of(answer.factors).map(toFactor),
    session: toSession(tenant, row.epoch, remembered, session?.peppers),
    throttles: Object.fromEntries(of(answer.throttles).map(row => [row.kind, toThrottle(row, readAt)])),
    policy: toPolicy(answer.policy)
  }
  if (!isWhole) return user
  const whole: WholeUser = {
    ...user,
    pending: of(answer.pending).map(toPending),
    recovery: toRecovery(of(answer.sets)[0], of(answer.codes)),
    devices: of(answer.devices).filter(({ epoch }) => epoch === row.epoch).map(toDevice)
  }
  return whole
}

const toPending = ({ userId, ...row }: Of<Json<Pending>>): Pending => ({
  ...row,
  sealed: bytes(row.sealed),
  createdAt: new Date(row.createdAt)
})

const toRecovery = (set: NonNullable<Answer['sets']>[number] | undefined, codes: Array<{ isUsed: boolean }>): RecoverySet | null =>
  set === undefined
    ? null
    : {
        id: set.id,
        generatedAt: new Date(set.generatedAt),
        acknowledgedAt: date(set.acknowledgedAt),
        total: codes.length,
        remaining: codes.filter(({ isUsed }) => !isUsed).length
      }

const toDevice = ({ userId, epoch, ...row }: DeviceRow): TrustedDevice => ({
  ...row,
  createdAt: new Date(row.createdAt),
  lastUsedAt: date(row.lastUsedAt),
  mac: bytes(row.mac)
})

const toFactor = ({ userId, credential, ...row }: FactorRow): Factor => ({
  ...row,
  credential: credential === null ? null : { ...credential, id: bytes(credential.id) },
  sealed: bytes(row.sealed),
  createdAt: new Date(row.createdAt),
  confirmedAt: new Date(row.confirmedAt),
  lastUsedAt: date(row.lastUsedAt),
  afterRecoveryAt: date(row.afterRecoveryAt)
})

/** An authentication of an older epoch is dead, and one that this service did not remember for this session is none. */
function toSession (tenant: string, epoch: number, row: SessionRow | undefined, peppers: KeyRing | undefined): RememberedSession {
  if (row === undefined || peppers === undefined) return NO_SESSION
  const { acr, methods, factorId, authTime, endsAt, mac, generation, ...owner } = row
  if (acr === null || owner.epoch !== epoch) return { ...NO_SESSION, generation }
  const authentication = { acr, methods, factorId, authTime, endsAt }
  const isForged = !isGenuine(peppers, { ...owner, tenant, epoch }, authentication, bytes(mac))
  return { generation, authentication: isForged ? null : rememberedAuthentication(authentication), isForged }
}

const NO_SESSION: RememberedSession = { generation: 0, authentication: null, isForged: false }

/** A wait that is over is none. */
function toThrottle (row: NonNullable<Answer['throttles']>[number], now: Date): Throttle {
  const until = date(row.waitUntil)
  const ms = until === null ? 0 : until.getTime() - now.getTime()
  return {
    failures: row.failures,
    lockedAt: date(row.lockedAt),
    ...(ms > 0 ? { waitUntil: until, waitSeconds: Math.ceil(ms / 1000) } : { waitUntil: null, waitSeconds: null })
  }
}
