import type pg from 'pg'

/** Millions of rows come several times faster without keys and indexes, which are made anew, in parallel, when they are there. */
export async function withoutIndexes (client: pg.Client, tables: string[], fill: () => Promise<void>): Promise<void> {
  const { rows: constraints } = await client.query<{ table: string, name: string, kind: string, definition: string }>(`
    SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name, contype AS kind, pg_get_constraintdef(oid) AS definition
      FROM pg_constraint
    WHERE conparentid = 0 AND ((contype IN ('p', 'u') AND conrelid = ANY ($1::text[]::regclass[])) OR (contype = 'f'
      AND (conrelid = ANY ($1::text[]::regclass[]) OR confrelid = ANY ($1::text[]::regclass[]))))
    ORDER BY contype = 'f' DESC`, [tables])
  const { rows: indexes } = await client.query<{ name: string, definition: string }>(`
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = ANY ($1::text[]::regclass[]) AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = indexrelid
      AND c.contype IN ('p', 'u'))`,
  [tables]
  )
  for (const { table, name } of constraints) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`)
  await fill()
  const isForeign = ({ kind }: { kind: string }): boolean => kind === 'f'
  for (const { table, name, definition } of constraints.filter(each => !isForeign(each))) {
    await client.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`)
  }
  // Of a partitioned table PostgreSQL says them without the partitions.
  for (const { definition } of indexes) await client.query(definition.replace(' ON ONLY ', ' ON '))
  // They hold by how the rows were made.
  for (const { table, name, definition } of constraints.filter(isForeign)) {
    await client.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition} NOT VALID`)
  }
}
