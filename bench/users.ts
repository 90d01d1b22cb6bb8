// A tenant with as many users as one likes, for benchmarks and for tests of plans: made in the database, without the
// service, and then counted.
import type pg from 'pg'

export const SOURCE = 'https://id.test'

/**
 * Half of them are enrolled, a tenth has met a policy, a hundredth is exempt, one in a thousand is disabled, one in five
 * thousand locked. `groups` gives an SQL array of the groups of the n-th.
 */
export async function fillUsers (
  client: pg.Client,
  tenant: string,
  count: number,
  groups = "ARRAY['g' || n % 200, 'h' || n % 40, 'all']"
): Promise<void> {
  // Foreign keys hold by how the rows are made: checking them would take most of the time.
  await client.query('BEGIN')
  await client.query('SET LOCAL session_replication_role = replica')
  await client.query(`
    INSERT INTO users (tenant, id, namespace, subject, account, sources, policy_met_at, grace_until, exempt_since, exempt_until,
      exempt_reason, exempt_by, disabled_at, enrolled_at, administrator_at)
    SELECT $1, gen_random_uuid(), '${SOURCE}', 'user-' || n, 'user-' || n || '@example.com',
      jsonb_build_object('${SOURCE}', jsonb_build_object('local', n % 3 > 0, 'sso', n % 2 = 0, 'groups', to_jsonb(${groups}))),
      CASE WHEN n % 10 = 0 THEN now() - interval '5 days' END, CASE WHEN n % 10 = 0 THEN now() + interval '1 day' * (n % 7 - 3) END,
      CASE WHEN n % 100 = 1 THEN now() END, CASE WHEN n % 100 = 1 THEN now() + interval '9 days' END,
      CASE WHEN n % 100 = 1 THEN 'lost phone' END, CASE WHEN n % 100 = 1 THEN 'admin' END,
      CASE WHEN n % 1000 = 2 THEN now() END,
      -- Over two years, some each day.
      CASE WHEN hashint4(n::int) % 2 = 0 THEN now() - interval '1 second' * (n % 63000 * 1000) END,
      CASE WHEN n % 100000 = 3 THEN now() END
    FROM generate_series(1, $2::bigint) AS n`, [tenant, count])
  await client.query(`INSERT INTO throttles (tenant, user_id, kind, locked_at)
    SELECT tenant, id, k, CASE WHEN k = 'totp' AND subject LIKE '%2500' THEN now() END
    FROM users CROSS JOIN unnest(ARRAY['enroll', 'totp']) AS k WHERE tenant = $1`, [tenant])
  await client.query(
    `INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at)
    SELECT tenant, gen_random_uuid(), id, 'totp', 'Authenticator 1', '\\x00', 'k1', 'SHA1', 6, 30, 1, enrolled_at, enrolled_at
      FROM users WHERE tenant = $1 AND enrolled_at IS NOT NULL`,
    [tenant]
  )
  await client.query(
    'INSERT INTO recovery_sets (tenant, user_id, id) SELECT tenant, id, gen_random_uuid() FROM users WHERE tenant = $1 AND enrolled_at ' +
    'IS NOT NULL',
    [tenant]
  )
  await client.query(`INSERT INTO recovery_codes (tenant, user_id, slot, hash, tag, pepper_id, used_at)
    SELECT tenant, user_id, slot, '$2b$10$', -1, 'p1', CASE WHEN slot < get_byte(uuid_send(id), 15) % 100 - 91 THEN now() END
    FROM recovery_sets CROSS JOIN generate_series(0, 9) AS slot WHERE tenant = $1`, [tenant])
  await client.query('COMMIT')
  await client.query('SELECT recount_users($1)', [tenant])
  await client.query('SELECT fold_tallies($1, 1000000)', [tenant])
}

/** Events over a year, mostly logins, of the first hundred thousand of these users. */
export async function fillAudit (client: pg.Client, tenant: string, count: number): Promise<void> {
  await client.query("SELECT add_audit_partition(now() - n * interval '1 month') FROM generate_series(0, 12) AS n")
  const { rows: [{ users }] } = await client.query('SELECT least(count(*), 100000) AS users FROM users WHERE tenant = $1', [tenant])
  await client.query(`
    INSERT INTO audit_events (tenant, at, actor, subject, action, outcome, factor_kind, address, request_id, details)
    SELECT $1, now() - n * (interval '365 days' / $2::bigint), id, id,
      CASE WHEN n % 1000 = 1 THEN 'factor.confirmed' WHEN n % 100000 = 2 THEN 'policy.changed' WHEN n % 50 = 3 THEN 'totp.refused'
        ELSE 'totp.accepted' END,
      CASE WHEN n % 50 = 3 THEN 'failure' ELSE 'success' END, 'totp', '192.0.2.' || n % 250, gen_random_uuid()::text,
        '{"factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11"}'
    FROM generate_series(1, $2::bigint) AS n
    JOIN (SELECT id::text, row_number() OVER () AS number FROM users WHERE tenant = $1) AS u ON u.number = 1 + n % $3::bigint`,
  [tenant, count, users]
  )
}
