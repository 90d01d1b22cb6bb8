import sql, { join, type Sql } from 'sql-template-tag'
import type { Database } from '../../../platform/db/client.ts'
import type { ProvableFactor } from '../../../policy/decide.ts'
import { isAnyPhrDue, isInGroup, isSsoOnly, STRICTNESS } from '../../../policy/decide.sql.ts'
import { foldAccount } from '../../account.ts'
import { after, findFirstUsers, type Wish } from '../../first-users.sql.ts'
import { findOpenUsers, type Judging, mustAddPasskey, type Wanted } from '../../open-users.sql.ts'
import type { SourceClaims } from '../../user.ts'

export type Status = 'enrolled' | 'not_enrolled' | 'must_enroll' | 'in_grace' | 'exempt' | 'locked' | 'disabled'

/** Which users of a tenant; all that is given must hold. */
export interface UserFilter {
  tenant: string
  subject?: string | undefined
  account?: string | undefined
  namespace?: string | undefined
  status?: Status | undefined
  group?: string | undefined
  /** A kind, or `none`. */
  factor?: string | undefined
  deadlineBefore?: Date | undefined
  /** Leave out those who were ever seen with an `mfa:` role. */
  areAdministratorsHidden: boolean
}

export interface UserRow {
  id: string
  namespace: string
  subject: string
  account: string
  sources: Record<string, SourceClaims>
  isAdministrator: boolean
  factors: ProvableFactor[]
  isLocked: boolean
  isDisabled: boolean
  createdAt: Date
  readAt: Date
  policyMetAt: Date | null
  graceUntil: Date | null
  exemptSince: Date | null
  exemptUntil: Date | null
  exemptReason: string
  exemptBy: string
}

/** Users in the order of their ids, which never changes, after the one that `cursor` names. */
export async function findUsers (
  db: Database,
  filter: UserFilter,
  judging: Judging,
  cursor: string | undefined,
  limit: number
): Promise<UserRow[]> {
  const page = await findPage(db, filter, judging, cursor, limit)
  return await db.reports<UserRow>`
    SELECT u.id::text, u.namespace, u.subject, u.account, u.sources, u.administrator_at IS NOT NULL AS "isAdministrator",
      (SELECT coalesce(json_agg(json_build_object('kind', f.kind, 'credential', CASE WHEN f.rp_id IS NOT NULL
        THEN json_build_object('rpId', f.rp_id) END)), '[]') FROM factors f WHERE f.tenant = ${filter.tenant} AND f.user_id = u.id) AS factors,
      EXISTS (SELECT 1 FROM throttles t WHERE t.tenant = ${filter.tenant} AND t.user_id = u.id AND t.locked_at IS NOT NULL) AS "isLocked",
      u.disabled_at IS NOT NULL AS "isDisabled", u.created_at AS "createdAt", statement_timestamp() AS "readAt",
      u.policy_met_at AS "policyMetAt", u.grace_until AS "graceUntil",
      u.exempt_since AS "exemptSince", u.exempt_until AS "exemptUntil", u.exempt_reason AS "exemptReason", u.exempt_by AS "exemptBy"
    FROM users u JOIN (${page}) AS page ON page.id = u.id
    WHERE u.tenant = ${filter.tenant}
    ORDER BY u.id`
}

const OPEN: Partial<Record<Status, Wanted>> = {
  not_enrolled: {},
  must_enroll: { strictness: STRICTNESS.required },
  in_grace: { strictness: STRICTNESS.grace },
  exempt: { strictness: STRICTNESS.exempt }
}

/** The ids of a page. Those who have no factor are found by what the rules ask of them, the others by their rows. */
async function findPage (db: Database, filter: UserFilter, judging: Judging, cursor: string | undefined, limit: number): Promise<Sql> {
  const { tenant, status, group, deadlineBefore } = filter
  const also = conditions(filter)
  const alsoInGroup = group === undefined ? sql`` : sql`AND ${isInGroup(judging.sources, group)}`
  const byRow = (condition: Sql): Sql =>
    sql`SELECT id FROM users WHERE tenant = ${tenant} AND ${condition} ${alsoInGroup} ${also} ${after(cursor)} ORDER BY id
      LIMIT ${limit}::int`
  const open = status === undefined ? undefined : OPEN[status]
  if (open === undefined && deadlineBefore === undefined) {
    const ofStatus = ofRow(status, tenant)
    return group === undefined
      ? byRow(ofStatus)
      : await findMembers(db, { tenant, conditions: sql`${ofStatus} ${alsoInGroup} ${also}`, cursor, limit })
  }
  const alsoOpen = open === undefined
    ? sql`AND ${status === 'locked' ? isLocked(tenant) : sql`${status === undefined}::boolean`} ${also}`
    : also
  const both = (found: Sql, others: Sql): Sql =>
    sql`SELECT id FROM ((${found}) UNION ALL (${byRow(others)})) AS found ORDER BY id LIMIT ${limit}::int`
  const found = await findOpenUsers(db, {
    tenant,
    ...judging,
    wanted: { ...open, deadlineBefore },
    alsoInGroup,
    also: alsoOpen,
    cursor,
    limit
  })
  if (status === 'exempt') {
    // Where each rule leaves SSO sessions alone, that is so with a factor, too; a passkey may be asked of them at a later time.
    if (judging.rules.some(({ ssoRule }) => ssoRule !== 'exempt_sso_session')) return found
    const ofSso = sql`enrolled_at IS NOT NULL AND disabled_at IS NULL AND ${isSsoOnly(judging.sources)} AND NOT ${isAnyPhrDue(judging)}`
    if (deadlineBefore === undefined) return both(found, ofSso)
    const mustAdd = mustAddPasskey(tenant, judging, { deadlineBefore }, false)
    return mustAdd === null ? found : both(found, sql`${ofSso} AND ${mustAdd}`)
  }
  const isOfFactor = status === 'must_enroll' || open === undefined
  const mustAdd = isOfFactor ? mustAddPasskey(tenant, judging, { deadlineBefore }, status === 'must_enroll') : null
  return mustAdd === null ? found : both(found, sql`${mustAdd} AND ${ofRow(status, tenant)}`)
}

/**
 * The members of a group. Of a large one the first users who come along fill the page; of a small one all members are read
 * from the index of groups.
 */
const findMembers = async (db: Database, wish: Wish): Promise<Sql> => await findFirstUsers(db, wish) ?? sql`
  WITH members AS MATERIALIZED (SELECT id FROM users WHERE tenant = ${wish.tenant} AND ${wish.conditions} ${after(wish.cursor)})
  SELECT id FROM members ORDER BY id LIMIT ${wish.limit}::int`

const isLocked = (tenant: string): Sql =>
  sql`disabled_at IS NULL AND id IN (SELECT user_id FROM throttles WHERE tenant = ${tenant} AND locked_at IS NOT NULL)`

function ofRow (status: Status | undefined, tenant: string): Sql {
  switch (status) {
    case 'enrolled': return sql`enrolled_at IS NOT NULL AND disabled_at IS NULL`
    case 'disabled': return sql`disabled_at IS NOT NULL`
    case 'locked': return isLocked(tenant)
    default: return sql`true`
  }
}

/** Only what is asked for stands in the statement: an index serves what is there, not what may be there. */
function conditions ({ tenant, subject, account, namespace, factor, areAdministratorsHidden }: UserFilter): Sql {
  const parts = [sql``]
  if (subject !== undefined) parts.push(sql`AND subject = ${subject}`)
  if (account !== undefined) parts.push(sql`AND account_fold = ${foldAccount(account)}`)
  if (namespace !== undefined) parts.push(sql`AND namespace = ${namespace}`)
  if (factor === 'none') parts.push(sql`AND enrolled_at IS NULL`)
  else if (factor !== undefined) parts.push(sql`AND id IN (SELECT user_id FROM factors WHERE tenant = ${tenant} AND kind = ${factor})`)
  if (areAdministratorsHidden) {
    parts.push(sql`AND id NOT IN (SELECT id FROM users WHERE tenant = ${tenant}
    AND administrator_at IS NOT NULL)`)
  }
  return join(parts, ' ')
}
