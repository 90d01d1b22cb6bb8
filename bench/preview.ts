// npx tsx bench/preview.ts: how long a preview of a million users takes, on an embedded PostgreSQL of its own.
import pg from 'pg'
import { countPreview } from '../src/admin/policy/preview/store.ts'
import { DEFAULT_POLICY } from '../src/core/policy.ts'
import { connect } from '../src/db/client.ts'
import { startEmbedded } from '../src/db/embedded.ts'
import { applyMigrations } from '../src/db/migrate.ts'
import { temporaryDir } from '../test/helpers/temporary.ts'

const server = await startEmbedded({ dataDir: temporaryDir('bench'), database: 'bench', isPersistent: false, settings: { fsync: 'off' } })
await applyMigrations(server.url)
const client = new pg.Client({ connectionString: server.url })
await client.connect()
// Accounts, three of 241 groups, half of them enrolled, a tenth met, a hundredth exempt.
await client.query(`
  INSERT INTO users (tenant, id, namespace, subject, account, sources, policy_met_at, grace_until, exempt_since, exempt_until, exempt_reason, exempt_by)
  SELECT 'big', gen_random_uuid(), 'https://id.test', 'user-' || n, 'user-' || n || '@example.com',
    jsonb_build_object('https://id.test', jsonb_build_object('local', n % 3 > 0, 'sso', n % 2 = 0, 'groups', jsonb_build_array('g' || n % 200, 'h' || n % 40, 'all'))),
    CASE WHEN n % 10 = 0 THEN now() - interval '5 days' END, CASE WHEN n % 10 = 0 THEN now() + interval '1 day' * (n % 7 - 3) END,
    CASE WHEN n % 100 = 1 THEN now() END, CASE WHEN n % 100 = 1 THEN now() + interval '9 days' END,
    CASE WHEN n % 100 = 1 THEN 'lost phone' END, CASE WHEN n % 100 = 1 THEN 'admin' END
  FROM generate_series(1, 1000000) AS n`)
await client.query(`
  INSERT INTO factors (tenant, id, user_id, label, sealed, key_id, last_step, created_at, confirmed_at)
  SELECT tenant, gen_random_uuid(), id, 'Authenticator 1', '\\x00', 'k1', 1, now(), now() FROM users WHERE substr(id::text, 1, 1) < '8'`)
await client.query('VACUUM ANALYZE')
await client.end()

const db = connect(server.url, 10, () => {})
for (const [name, draft] of Object.entries({ 'all at once': {}, 'two groups': { groups: ['g1', 'h2'] }, 'a year of grace': { gracePeriodDays: 365 }, 'no SSO rule': { ssoRule: 'none' as const } })) {
  for (let round = 0; round < 3; round++) {
    const start = performance.now()
    const { counts } = await countPreview(db, 'big', [{ ...DEFAULT_POLICY, enforcement: 'required', ...draft }], ['https://id.test'])
    const buckets = (counts ?? []).filter(({ group }) => group === null).map(({ bucket, users }) => `${bucket} ${users}`).join(', ')
    process.stdout.write(`${name}: ${Math.round(performance.now() - start)} ms (${buckets})\n`)
  }
}
await db.close()
await server.stop()
