// A pooler in transaction mode gives each transaction another connection: a statement's name is unknown on it.
import t from 'tap'
import { connect } from '../../src/db/client.ts'
import { databaseUrl } from '../helpers/database.ts'

for (const [query, are] of [['', true], ['?pgbouncer=true', false]] as const) {
  t.test(`statements ${are ? 'have names, and are planned once' : 'have none where the URL says that there is a pooler'}`, async t => {
    const db = connect(databaseUrl() + query, 1, () => {})
    t.teardown(() => db.close())
    await db.rows`SELECT ${1}::int`
    const names = await db.rows<{ name: string }>`SELECT name FROM pg_prepared_statements`
    t.equal(names.length > 0, are)
  })
}
