import type { Caller, FirstFactor, IssuerWord } from '../core/caller.ts'
import type { Factor, Pending, Person, RecoverySet, RememberedAct, SourceWord, Throttle } from '../core/person.ts'
import { actRemembered } from '../core/mfa-token.ts'
import type { Note } from '../core/note.ts'
import type { By } from './audit.ts'
import type { Database, Settlement } from './client.ts'
import { type PolicyRow, toPolicy } from './policy.ts'

type Json<T> = { [K in keyof T]: T[K] extends Date ? string : T[K] extends Date | null ? string | null : T[K] extends Buffer ? string : T[K] }

/** What `find_person_v2` answers: rows as they are. */
interface Answer {
  readAt: string
  user: UserRow
  factors: Array<Json<Factor>> | null
  pending: Json<Pending> | null
  recovery: Pick<Json<RecoverySet>, 'id' | 'generatedAt' | 'acknowledgedAt'> | null
  /** Of the set. */
  codes: number | null
  usedCodes: number | null
  throttles: Array<{ kind: string, failures: number, waitUntil: string | null, lockedAt: string | null }> | null
  policy: PolicyRow | null
  session: SessionRow | null
}

interface UserRow {
  id: string
  namespace: string
  subject: string
  account: string
  epoch: number
  revision: number
  sources: Record<string, SourceWord>
  isDisabled: boolean
  isAdministrator: boolean
  isCodeRequired: boolean
  tokensSince: string | null
  createdAt: string
  policyMetAt: string | null
  graceUntil: string | null
  reportedVersion: number | null
  exemptSince: string | null
  exemptUntil: string | null
  exemptReason: string
  exemptBy: string
}

/** Without `acr` no act counts for the session. */
type SessionRow = Omit<RememberedAct, 'acr'> & { acr: RememberedAct['acr'] | null, generation: number, epoch: number }

/** Everything that a decision about the caller needs, in one statement; null if nobody was seen by this name yet. */
export async function findPerson (db: Database, { tenant, namespace, subject, session, mfa }: Caller): Promise<Person | null> {
  // One of the two finds him, each by a unique index: our own tokens name the user, others the subject.
  return await find(db, tenant, mfa === undefined ? { namespace, subject } : { userId: mfa.userId }, session?.isRemembered === true ? session : NONE)
}

/** Somebody of a tenant, as an administrator names him: of no session. */
export const findPersonById = (db: Database, tenant: string, userId: string): Promise<Person | null> => find(db, tenant, { userId })

const NONE = { issuer: null, id: null }

async function find (
  db: Database, tenant: string, { namespace = null, subject = null, userId = null }: Partial<Record<'namespace' | 'subject' | 'userId', string | null>>, { issuer, id }: { issuer: string | null, id: string | null } = NONE
): Promise<Person | null> {
  const answer = await db.value<Answer>`
    SELECT find_person_v2(${tenant}, ${namespace}, ${subject}, ${userId}::uuid, ${issuer}, ${id}) AS person`
  return answer === null ? null : toPerson(tenant, answer)
}

/** Somebody as people call him. */
export interface Named { userId: string, namespace: string, subject: string }

/** Who has a `sub`: one for each namespace. */
export const findBySubject = (db: Database, tenant: string, subject: string): Promise<Named[]> => db.rows<Named>`
  SELECT id::text AS "userId", namespace, subject FROM users WHERE tenant = ${tenant} AND subject = ${subject} ORDER BY namespace`

/** Who is shown under a name, in whatever case: no index knows that. */
export const findByAccount = (db: Database, tenant: string, account: string): Promise<Named[]> => db.reports<Named>`
  SELECT id::text AS "userId", namespace, subject FROM users WHERE tenant = ${tenant} AND lower(account) = lower(${account}) ORDER BY id LIMIT 3`

export const hasPeople = async (db: Database, tenant: string): Promise<boolean> =>
  (await db.rows`SELECT 1 FROM users WHERE tenant = ${tenant} LIMIT 1`).length > 0

/** Does the token say something of the person that is not recorded? Then, and only then, it costs a write. */
export function isWordNew ({ account, sources }: Person, { word, groups }: FirstFactor): boolean {
  const known = sources[word.issuer]
  if (known === undefined || (word.account !== undefined && word.account !== account)) return true
  const said = spoken(word)
  const isAccountNew = word.accounts === undefined
    ? (said.local && known.local !== true) || (said.sso && known.sso !== true)
    : said.local !== known.local || said.sso !== known.sso
  const heard = spokenGroups(word, groups, known)
  return isAccountNew || heard.groupsUnknown !== known.groupsUnknown ||
    (heard.groups !== undefined && JSON.stringify(heard.groups) !== JSON.stringify(known.groups))
}

/** Absent groups change nothing, unless the token says that it left them out; groups that are there end that. */
function spokenGroups ({ areGroupsUnknown }: IssuerWord, groups: string[] | undefined, known: SourceWord | undefined): Pick<SourceWord, 'groups' | 'groupsUnknown'> {
  const wasUnknown = known?.groupsUnknown
  const isUnknown = areGroupsUnknown || (groups === undefined ? wasUnknown : wasUnknown && false)
  // In one order: who is in the same groups is of one kind.
  return { ...(groups !== undefined && { groups: [...new Set(groups)].sort() }), ...(isUnknown !== undefined && { groupsUnknown: isUnknown }) }
}

/** Without a claim the door itself shows an account; a personal token shows none. */
function spoken ({ accounts, door }: IssuerWord): { local: boolean, sso: boolean } {
  const shown: readonly string[] = accounts ?? [door]
  return { local: shown.includes('local'), sso: shown.includes('sso') }
}

/**
 * Records the first sight, or the issuer's newer word: `seen`, or `erased` where the token is older than the person's
 * erasure. `id` is used for somebody new, `known` is what he was said to be, `hashes` are what his trace would be.
 */
export async function seePerson (db: Database, { tenant, namespace, subject, word, groups }: FirstFactor, id: string, known: Person | null, hashes: string[]): Promise<Settlement> {
  const said = { ...spoken(word), ...spokenGroups(word, groups, known?.sources[word.issuer]) }
  return await db.settle`SELECT see_user_v2(${tenant}, ${id}::uuid, ${namespace}, ${subject}, ${word.account ?? null}, ${word.issuer},
    ${word.accounts !== undefined}, ${said}::jsonb, to_timestamp(${word.issuedAt}::float8), ${JSON.stringify(hashes)}::jsonb) AS result`
}

/** Records what was noted of somebody. Decides which of parallel first calls gives him his deadline. */
export async function settleNote (db: Database, { tenant, userId, policy }: Person, { graceDays, wouldBe, isAdministrator }: Note, by: By): Promise<void> {
  await db.settle`SELECT note_person_v1(${tenant}, ${userId}::uuid, ${policy.version}::int, ${graceDays}::int, ${wouldBe}::jsonb, ${isAdministrator}, ${by}::jsonb) AS result`
}

const date = (value: string | null): Date | null => value === null ? null : new Date(value)
const bytes = (value: string): Buffer => Buffer.from(value, 'hex')
const OPEN: Throttle = { failures: 0, waitSeconds: null, waitUntil: null, lockedAt: null }

function toPerson (tenant: string, { user, factors, pending, recovery, codes, usedCodes, throttles, policy, session, ...answer }: Answer): Person {
  const readAt = new Date(answer.readAt)
  const throttleOf = (kind: string): Throttle => toThrottle(throttles?.find(each => each.kind === kind), readAt)
  return {
    tenant,
    userId: user.id,
    namespace: user.namespace,
    subject: user.subject,
    account: user.account,
    epoch: user.epoch,
    revision: user.revision,
    sources: user.sources,
    isDisabled: user.isDisabled,
    isAdministrator: user.isAdministrator,
    isCodeRequired: user.isCodeRequired,
    tokensSince: date(user.tokensSince),
    createdAt: new Date(user.createdAt),
    readAt,
    policyMetAt: date(user.policyMetAt),
    graceUntil: date(user.graceUntil),
    exemption: user.exemptSince === null ? null : { since: new Date(user.exemptSince), until: date(user.exemptUntil), reason: user.exemptReason, by: user.exemptBy },
    reportedVersion: user.reportedVersion,
    factors: (factors ?? []).map(toFactor),
    pending: pending === null ? null : { ...pending, sealed: bytes(pending.sealed), createdAt: new Date(pending.createdAt) },
    recovery: recovery === null
      ? null
      : { id: recovery.id, generatedAt: new Date(recovery.generatedAt), acknowledgedAt: date(recovery.acknowledgedAt), total: codes as number, remaining: (codes as number) - (usedCodes as number) },
    // An act of an older epoch is dead.
    session: { generation: session?.generation ?? 0, act: session?.epoch === user.epoch ? toAct(session) : null },
    throttles: { totp: throttleOf('totp'), recovery: throttleOf('recovery'), bypass: throttleOf('bypass') },
    policy: toPolicy(policy)
  }
}

const toFactor = (row: Json<Factor>): Factor => ({
  ...row,
  sealed: bytes(row.sealed),
  createdAt: new Date(row.createdAt),
  confirmedAt: new Date(row.confirmedAt),
  lastUsedAt: date(row.lastUsedAt),
  afterRecoveryAt: date(row.afterRecoveryAt)
})

const toAct = ({ acr, methods, factorId, authTime, endsAt }: SessionRow): RememberedAct | null => acr === null ? null : actRemembered({ acr, methods, factorId, authTime, endsAt })

/** A wait that is over is none. */
function toThrottle (row: NonNullable<Answer['throttles']>[number] | undefined, now: Date): Throttle {
  if (row === undefined) return OPEN
  const until = date(row.waitUntil)
  const ms = until === null ? 0 : until.getTime() - now.getTime()
  return { failures: row.failures, lockedAt: date(row.lockedAt), ...(ms > 0 ? { waitUntil: until, waitSeconds: Math.ceil(ms / 1000) } : { waitUntil: null, waitSeconds: null }) }
}
