// The service's own role does all that the service does, and nothing else.
import sql from 'sql-template-tag'
import pg from 'pg'
import t from 'tap'
import { parseSigningKeys } from '../../../src/config/signing-keys.ts'
import { chainTenant } from '../../../src/audit/chain.sql.ts'
import { signAnew, signTenant } from '../../../src/audit/checkpoint.sql.ts'
import { takeLease } from '../../../src/platform/db/lease.ts'
import {
  type ClaimedWebhookEvent,
  findDueWebhookEvents,
  type WebhookEventKey,
  settleClaimed,
  settleDelivered,
  settleFailed,
  settleWanted
} from '../../../src/webhooks/outbox.sql.ts'
import { watchAttempts, watchSprays } from '../../../src/audit/suspicions.sql.ts'
import { sweep } from '../../../src/maintenance/sweep.sql.ts'
import { ownDatabase } from '../../helpers/database.ts'
import { serviceRole } from '../../helpers/role.ts'
import { signingKey, startService } from '../../helpers/service.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)

t.test('the whole service runs as a member of headless_mfa', async t => {
  const service = await startService(t, { DATABASE_URL: role.url })
  const admin = service.user({ roles: ['mfa:admin'] })
  t.equal((await service.call('GET', '/health/ready')).status, 200)
  t.equal((await admin.call('GET', '/mfa/status')).status, 200)
  await settleWanted(service.db)
  const first = await admin.enroll()
  const second = await admin.enroll(first.token, 'Tablet')
  t.equal((await admin.call('POST', '/mfa/verify', { code: service.clock.wrongCode(first.secret) })).status, 422)
  const token = await admin.verify(first.secret)
  t.equal((await admin.call('GET', '/mfa/factors', undefined, token)).body.items.length, 2)
  t.equal((await admin.call('PATCH', `/mfa/factors/${second.factorId}`, { label: 'Old tablet' }, token)).status, 200)
  t.equal((await admin.call('POST', '/mfa/recovery', { code: first.recoveryCodes?.[0] })).status, 200)
  t.equal((await admin.call('POST', '/mfa/recovery/acknowledge')).status, 204)
  t.equal((await admin.call('POST', '/mfa/recovery/codes', {}, token)).status, 201)
  t.equal((await admin.call('GET', '/mfa/recovery')).status, 200)
  t.equal((await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)).status, 200)
  t.equal((await admin.call('GET', '/admin/policy', undefined, token)).status, 200)
  t.equal((await admin.call('GET', '/admin/audit', undefined, token)).status, 200)
  const user = service.user({ tenant: admin.tenant })
  await user.enroll()
  const { body: { userId } } = await user.call('GET', '/mfa/status')
  const actOn = (what: string, body: object = {}): Promise<{ status: number, body: any }> =>
    admin.call('POST', `/admin/users/${userId as string}/${what}`, { reason: 'x', ...body }, token)
  for (const what of ['unlock', 'sign-out']) t.equal((await actOn(what)).status, 204, what)
  t.equal((await user.call('POST', '/mfa/recovery', { code: (await actOn('bypass')).body.code })).status, 200)
  t.equal((await actOn('reset', { requireCode: true })).status, 200)
  t.equal((await actOn('erase')).status, 204)
  t.equal((await user.call('GET', '/mfa/status')).status, 401)
  service.clock.advance(60)
  t.equal((await user.call('GET', '/mfa/status')).status, 200)
  const signing = { keys: service.config.MFA_SIGNING_KEYS, retentionDays: 400, memory: service.memory }
  const by = { actor: 'x', address: '192.0.2.1', requestId: 'x' }
  for (let n = 0; n < 5; n++) {
    await service.db.rows`SELECT audit(${admin.tenant}, 'x', 'totp.refused', 'failure', 'totp',
    ${by}::jsonb, '{}')::text`
  }
  t.ok(await chainTenant(service.db, admin.tenant, { look: events => watchAttempts(service.db, events) }) > 0)
  await watchSprays(service.db)
  t.match(await service.db.settle('suspect_spray', sql`${admin.tenant}, NULL, 9, ${['totp.accepted']}::text[]`), { outcome: 'suspected' })
  await sweep(service.db)
  t.match(await signTenant(service.db, admin.tenant, signing), { tenant: admin.tenant })
  t.equal(await signAnew(service.db, [...parseSigningKeys('KEYS', JSON.stringify({ keys: [signingKey('next')] })), ...signing.keys]), 1)
  t.equal(await takeLease(service.db, 'roles', crypto.randomUUID(), 1), true)
  t.match(
    (await admin.call('GET', '/admin/audit/verify', undefined, token)).body,
    { brokenAt: { cause: 'checkpoint' } },
    'the next key is not in this ring'
  )
  const [due] = await findDueWebhookEvents(service.db, 1) as [WebhookEventKey]
  await settleFailed(service.db, await settleClaimed(service.db, due) as ClaimedWebhookEvent, {
    text: 'x',
    isFinal: true,
    isInterrupted: false
  })
  await service.db.rows`SELECT retry_webhook_event(${due.tenant}, ${due.id}::uuid, '{}')`
  t.match(await settleDelivered(service.db, await settleClaimed(service.db, due) as ClaimedWebhookEvent), { outcome: 'delivered' })
  t.ok((await admin.call('GET', '/admin/notices', undefined, token)).body.items.length > 0)
  const { body: pending } = await admin.call('POST', '/mfa/enroll', {}, token)
  t.equal((await admin.call('DELETE', `/mfa/factors/${pending.factorId}`, {}, token)).status, 204)
  t.equal((await admin.call('DELETE', `/mfa/factors/${second.factorId}`, {}, token)).status, 200)
  t.equal((await service.call('GET', '/admin/policy', { token: service.user().token() })).status, 403)
})

t.test('it changes no table, rewrites no audit and becomes no other role', async t => {
  const client = new pg.Client({ connectionString: role.url })
  await client.connect()
  t.teardown(() => client.end())
  const { rows: [self] } = await client.query(
    'SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user'
  )
  t.same(self, { rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false })
  const { rows: [{ owner }] } = await client.query(
    "SELECT tableowner AS owner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'users'"
  )
  const tables = [
    'users',
    'enrollments',
    'factors',
    'recovery_sets',
    'recovery_codes',
    'bypasses',
    'tombstones',
    'throttles',
    'policies',
    'revocations',
    'audit_events',
    'audit_chain',
    'audit_heads',
    'audit_pending',
    'audit_checkpoints',
    'leases',
    'webhook_events',
    'webhook_endpoints',
    'failures',
    'suspicions'
  ]
  const { rows: owned } = await client.query("SELECT relname FROM pg_class WHERE pg_has_role(current_user, relowner, 'MEMBER')")
  t.same(owned, [], 'it owns nothing, and neither does what it is a member of')

  const { rows: partitions } = await client.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
  )
  t.ok(partitions.length >= 5)

  const refused = [
    ...tables.flatMap(
      table => [
        `DROP TABLE ${table}`,
        `ALTER TABLE ${table} ADD COLUMN x int`,
        `TRUNCATE ${table}`,
        `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
        `CREATE INDEX ON ${table} (tenant)`
      ]
    ),
    "UPDATE audit_events SET action = 'x'",
    'DELETE FROM audit_events',
    'UPDATE audit_chain SET position = 1',
    'DELETE FROM audit_chain',
    'DELETE FROM audit_heads',
    "INSERT INTO audit_events (tenant, at, id, action, outcome) SELECT tenant, at, id, 'x', 'x' FROM audit_events LIMIT 1 ON CONFLICT " +
    "(tenant, at, id) DO UPDATE SET action = 'x'",
    'SELECT * FROM audit_events FOR UPDATE',
    ...partitions.flatMap((
      { name }
    ) => [
      `UPDATE ${name} SET action = 'x'`,
      `DELETE FROM ${name}`,
      `TRUNCATE ${name}`,
      `DROP TABLE ${name}`,
      `ALTER TABLE audit_events DETACH PARTITION ${name}`
    ]),
    "SELECT add_audit_partition('2199-01-01')",
    `SET ROLE ${owner as string}`,
    `SET SESSION AUTHORIZATION ${owner as string}`,
    'ALTER ROLE headless_mfa LOGIN',
    `ALTER ROLE ${role.name} BYPASSRLS`,
    `GRANT ${owner as string} TO ${role.name}`,
    'CREATE TABLE x (id int)',
    'CREATE SCHEMA x',
    'CREATE VIEW x AS SELECT 1 AS one',
    'CREATE FUNCTION x() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
    'DROP FUNCTION audit',
    'DROP VIEW current_tallies',
    'UPDATE current_tallies SET users = 1',
    'SELECT * FROM _prisma_migrations',
    'DELETE FROM _prisma_migrations',
    'ALTER SYSTEM SET log_statement = \'all\'',
    "COPY users TO PROGRAM 'cat'"
  ]
  for (const statement of refused) {
    // 42501: insufficient privilege; 55000: a view that can't be written; 0A000: what Citus never does
    await t.rejects(client.query(statement), { code: /^(42501|55000|0A000)$/ }, statement)
  }
})
