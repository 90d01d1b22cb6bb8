// Holds what was answered against what the database has: the invariants that no fault may break.
import pg from 'pg'
import { FACTOR_KINDS } from '../../src/factors/registry.ts'
import { webhookEventTypes } from '../../src/webhooks/event.ts'
import { findTenants, verifyTenant } from '../../src/audit/verify.sql.ts'
import { connect } from '../../src/platform/db/client.ts'
import type { TestEndpoint } from '../helpers/webhook-endpoint.ts'
import type { Asked, Kind } from './driver.ts'
import type { Stage } from './stage.ts'

/** What each answer of success leaves in the audit, exactly once. */
const LEAVES: Partial<Record<Kind, { status: number, action: string }>> = {
  code: { status: 200, action: 'totp.accepted' },
  wrong: { status: 422, action: 'totp.refused' },
  recovery: { status: 200, action: 'recovery.accepted' },
  codes: { status: 201, action: 'recovery.regenerated' },
  signout: { status: 204, action: 'user.signed_out' }
}
/** Of README: dead on every replica within a second, or 503 where what is known is older than AUTHORIZE_STALE_SECONDS. */
const DEAD_WITHIN_MS = 2000

interface Event { id: string, tenant: string, subject: string | null, action: string, requestId: string, isPending: boolean, at: string }

function groupBy<T, K> (all: T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of all) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

/** What it is told by. */
export interface Evidence {
  server: Pick<Stage['server'], 'url'>
  secrets: Pick<Stage['secrets'], 'signing'>
  driver: Pick<Stage['driver'], 'asked'>
  endpoint: Pick<TestEndpoint, 'accepted'>
  replicas: Array<{ ends: string[] }>
}

/** One sentence for each invariant that does not hold. */
export async function audit (stage: Evidence): Promise<string[]> {
  const client = new pg.Client({ connectionString: stage.server.url })
  await client.connect()
  try {
    const { rows } = await client.query<Event>(`
      SELECT e.id::text, e.tenant, e.subject, e.action, e.request_id AS "requestId", e.at::text, n.id IS NOT NULL AS "isPending"
      FROM audit_events e LEFT JOIN webhook_events n ON n.tenant = e.tenant AND n.id = e.id ORDER BY e.at, e.id`)
    return [
      ...answersAndEvents(stage.driver.asked, rows), ...acceptedTwice(stage.driver.asked, rows), ...stillAlive(stage.driver.asked),
      ...webhookOrder(stage.endpoint, rows), ...await brokenChains(stage), ...stage.replicas.flatMap(({ ends }) => ends)
    ]
  } finally {
    await client.end()
  }
}

/** Each success has its event, once; and an event is of a success, or of a call with an unknown outcome. */
function answersAndEvents (asked: Asked[], events: Event[]): string[] {
  const found: string[] = []
  const byRequest = groupBy(events, ({ requestId }) => requestId)
  for (const { id, kind, status, code, isUnknown } of asked) {
    const left = LEAVES[kind]
    if (status === 500) found.push(`${kind} was answered 500`)
    if (left === undefined) continue
    const count = byRequest.get(id)?.filter(({ action }) => action === left.action).length ?? 0
    const what = `${kind} answered ${status} ${code ?? ''} left ${count} × ${left.action}`
    if (status === left.status ? count !== 1 : count > (isUnknown ? 1 : 0)) found.push(what)
  }
  return found
}

/** By the audit, which knows of those that were never answered, and by the answers, whatever the audit says. */
function acceptedTwice (asked: Asked[], events: Event[]): string[] {
  const accepted = events.filter(({ action }) => action === 'totp.accepted' || action === 'recovery.accepted')
  const accepting = new Set(accepted.map(({ requestId }) => requestId))
  const keyed = asked.filter(({ key, id, status }) => key !== undefined && (status === 200 || accepting.has(id)))
  return [...groupBy(keyed, ({ key }) => key)].filter(([, all]) => all.length > 1)
    .map(([key, all]) => `the code ${key} was accepted ${all.length} times`)
}

const stillAlive = (asked: Asked[]): string[] => asked
  .filter(({ status, deadSince, sentAt }) => status === 200 && deadSince !== undefined && sentAt - deadSince > DEAD_WITHIN_MS)
  .map(({ deadSince, sentAt }) => `an ended token passed after ${sentAt - (deadSince as number)} ms`)

/** Each is delivered or still to be, and those of one user come in the order in which they happened. */
function webhookOrder ({ accepted }: Evidence['endpoint'], events: Event[]): string[] {
  const first = new Map<string, number>()
  accepted.forEach(({ id }, index) => { if (!first.has(id)) first.set(id, index) })
  const told = events.filter(({ action }) => (webhookEventTypes(FACTOR_KINDS) as readonly string[]).includes(action))
  const lost = told.filter(({ id, isPending }) => !first.has(id) && !isPending).map(({ action }) => `${action} was not delivered`)
  const unordered = [...groupBy(told, ({ tenant, subject }) => `${tenant} ${subject ?? ''}`)].filter(([, all]) => {
    const places = all.map(({ id }) => first.get(id)).filter(place => place !== undefined)
    return places.some((place, index) => index > 0 && place < (places[index - 1] as number))
  }).map(([user]) => `webhook events of ${user} came out of order`)
  return [...lost, ...unordered]
}

async function brokenChains ({ server, secrets }: Evidence): Promise<string[]> {
  const db = connect(server.url, 2)
  try {
    const found: string[] = []
    for (const tenant of await findTenants(db)) {
      const { broken, waitingSince } = await verifyTenant(db, tenant, secrets.signing)
      if (broken !== null) found.push(`the chain of ${tenant} is broken: ${JSON.stringify(broken)}`)
      if (waitingSince !== undefined) found.push(`events of ${tenant} wait for their chain since ${waitingSince}`)
    }
    return found
  } finally {
    await db.close()
  }
}
