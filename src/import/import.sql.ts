import sql from 'sql-template-tag'
import { OPERATOR } from '../audit/record.sql.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import { tombstoneOf } from '../users/tombstone.ts'

export interface Known {
  subject: string
  userId: string
  isDisabled: boolean
  factors: string[]
  /** One of those that are to come was here before. */
  wasImported: boolean
}

/** Who of these is known here, with what an import depends on. */
export const findKnown = (
  db: Database,
  tenant: string,
  namespace: string,
  users: Array<{ subject: string, ids: string[] }>
): Promise<Known[]> =>
  db.reports<Known>`
  SELECT u.subject, u.id::text AS "userId", u.disabled_at IS NOT NULL AS "isDisabled",
    ARRAY(SELECT f.id::text FROM factors f WHERE f.tenant = ${tenant} AND f.user_id = u.id) AS factors,
    EXISTS (SELECT 1 FROM audit_events e WHERE e.tenant = ${tenant} AND e.subject = u.id::text AND e.action = 'factor.confirmed'
      AND p.ids ? (e.details->>'factorId')) AS "wasImported"
  FROM jsonb_to_recordset(${JSON.stringify(users)}::jsonb) AS p (subject text, ids jsonb)
  JOIN users u ON u.tenant = ${tenant} AND u.namespace = ${namespace} AND u.subject = p.subject`

export interface Import {
  tenant: string
  namespace: string
  subject: string
  account: string
  userId: string
  keyId: string
  kind: string
  factors: Array<{ id: string, label: string, sealed: string, algorithm: string | null, digits: number | null, period: number | null }>
  /** It is spent, and every lower one. */
  counter: number
  source: string
  peppers: KeyRing
}

/** Decides whether a user gets what is imported: `imported`, or why not; `moved` if it was sealed for another user. */
export const settleImported = (
  db: Database,
  { tenant, namespace, subject, account, userId, kind, keyId, factors, counter, source, peppers }: Import
): Promise<Settled<'import_user'>> =>
  db.settle(
    'import_user',
    sql`${tenant}, ${userId}::uuid, ${kind}, ${namespace}, ${subject}, ${account}, ${keyId}, ${JSON.stringify(factors)}::jsonb,
    ${counter}::bigint, ${source}, ${JSON.stringify(tombstoneOf(peppers, { tenant, namespace, subject }).hashes)}::jsonb,
      ${OPERATOR}::jsonb`
  )
