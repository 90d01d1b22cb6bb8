import pg from 'pg'
import { holdingLock } from './migrate.ts'

/** Whether the tables are to be distributed: where the database is one of Citus, always (an error where it is not), or never. */
export type CitusMode = 'auto' | 'on' | 'off'

/** All others have the rows of a tenant on one node, side by side with it. */
const FIRST_TABLE = 'users'
/** Without a tenant, but read by what runs beside the tenants: a copy on every node. Others without one stay on the coordinator. */
const REFERENCE_TABLES = ['webhook_endpoints']

/**
 * After the migrations, where the database is a coordinator of Citus: distributes by tenant what is not yet distributed
 * (tables, and the functions that work on them), and returns the names of those tables. All of it or nothing, as one
 * transaction. By rule, so that no migration has to know: a table with a `tenant` is distributed by it, a function whose
 * first argument is `p_tenant` runs on the node where that tenant's rows are, any other is there for those to call.
 */
export async function distribute (databaseUrl: string, mode: CitusMode): Promise<string[]> {
  if (mode === 'off') return []
  return await holdingLock(databaseUrl, async url => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const { rowCount: isCitus } = await client.query("SELECT 1 FROM pg_extension WHERE extname = 'citus'")
      if (isCitus) return await distributeAll(client)
      if (mode === 'on') {
        throw new Error(
          'CITUS is on, but the database has no extension citus: create it there and on every worker, and add the workers, before you ' +
          'migrate.'
        )
      }
      return []
    } finally {
      await client.end()
    }
  })
}

async function distributeAll (client: pg.Client): Promise<string[]> {
  await client.query('BEGIN')
  // Each shard after the other: what follows in the transaction finds every one of them on the connection that made it.
  await client.query("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
  const tables = [...await distributeTables(client), ...await copyTables(client)]
  await distributeViews(client)
  await distributeFunctions(client)
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('citus.version') AS version")
  await settlePlans(client, hoardsPlans(rows[0]!.version))
  await client.query('COMMIT')
  await grantViews(client)
  return tables
}

/** Those that others refer to come first. */
async function distributeTables (client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    WITH RECURSIVE own AS (
      SELECT c.oid, c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ), deep (oid, depth) AS (
      SELECT oid, 0 FROM own
      UNION SELECT k.conrelid, deep.depth + 1 FROM deep JOIN pg_constraint k ON k.confrelid = deep.oid AND k.contype = 'f'
    )
    SELECT relname AS name FROM own JOIN deep USING (oid)
    WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = own.oid)
    GROUP BY relname ORDER BY relname <> $1, max(depth), relname`, [FIRST_TABLE])
  for (const { name } of rows) {
    await client.query("SELECT create_distributed_table($1, 'tenant', colocate_with => $2)", [
      name,
      name === FIRST_TABLE ? 'none' : FIRST_TABLE
    ])
  }
  // The rows that were there are on the workers now.
  for (const { name } of rows) await client.query('SELECT truncate_local_data_after_distributing_table($1)', [name])
  return rows.map(({ name }) => name)
}

async function copyTables (client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = name::regclass)`,
  [REFERENCE_TABLES]
  )
  for (const { name } of rows) await client.query('SELECT create_reference_table($1)', [name])
  return rows.map(({ name }) => name)
}

/** Made anew, which tells the workers of them. */
async function distributeViews (client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(`
    SELECT format('CREATE OR REPLACE VIEW %s AS %s', oid::regclass, pg_get_viewdef(oid)) AS statement FROM pg_class c
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_object o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid)`)
  for (const { statement } of rows) await client.query(statement)
}

async function distributeFunctions (client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string, byTenant: boolean }>(`
    SELECT p.oid::regprocedure::text AS name, p.proargnames[1] IS NOT DISTINCT FROM 'p_tenant' AS "byTenant" FROM pg_proc p
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_object o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid
        AND (o.distribution_argument_index IS NOT NULL OR p.proargnames[1] IS DISTINCT FROM 'p_tenant'))
    ORDER BY 1`)
  for (const { name, byTenant } of rows) {
    if (byTenant) await client.query("SELECT create_distributed_function($1, 'p_tenant', colocate_with => $2)", [name, FIRST_TABLE])
    else await client.query('SELECT create_distributed_function($1)', [name])
  }
}

/**
 * Where Citus makes a further plan for each use of a statement and keeps them all, a login would leave half a megabyte on the
 * worker's connection: there no plan is kept, which takes no longer than making one more. Elsewhere each function has the mode
 * that its own file sets; meanwhile the function's comment keeps it.
 */
export async function settlePlans (client: pg.Client, isHoarding: boolean): Promise<void> {
  const { rows: functions } = await client.query<{ name: string, remember: string, kept: string | null }>(`
    SELECT oid::regprocedure::text AS name, obj_description(oid, 'pg_proc') AS kept,
      format('COMMENT ON FUNCTION %s IS %L', oid::regprocedure, (SELECT setting FROM unnest(proconfig) AS setting
        WHERE setting LIKE 'plan_cache_mode=%')) AS remember
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proargnames[1] = 'p_tenant'
      AND coalesce('plan_cache_mode=force_custom_plan' = ANY (proconfig), false) <> $1 ORDER BY 1`, [isHoarding])
  for (const { name, remember, kept } of functions) {
    if (isHoarding) await client.query(remember)
    const ownMode = kept === null ? 'RESET plan_cache_mode' : `SET ${kept}`
    await client.query(`ALTER FUNCTION ${name} ${isHoarding ? 'SET plan_cache_mode = force_custom_plan' : ownMode}`)
  }
}

/** Citus from its #8371 to its #8824. */
export function hoardsPlans (version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(part => parseInt(part))
  if (major === 12) return minor === 1 && patch >= 11
  if (major === 13) return minor === 2 ? patch >= 1 : minor > 2 && minor < 5
  return major === 14 && minor < 3
}

/** Citus tells its workers of views, and not of who may read them: not when they are made, and not when a worker is added. */
async function grantViews (client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ node: string, failure: string }>(`
    SELECT nodename || ':' || nodeport AS node, result AS failure
    FROM (SELECT string_agg(format('GRANT %s ON %s TO %I', a.privilege_type, c.oid::regclass, r.rolname), '; ') AS statements
      FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND a.grantee <> c.relowner
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) AS s
    CROSS JOIN LATERAL run_command_on_workers('SET citus.enable_ddl_propagation = off; ' || statements) AS w
      JOIN pg_dist_node USING (nodename, nodeport)
    WHERE NOT success`)
  if (rows[0]) throw new Error(`The worker ${rows[0].node} was not told who may read the views: ${rows[0].failure}. Migrate again.`)
}
