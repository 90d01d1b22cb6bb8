// A process of its own that looks at a tenant's events and chains them, without asking for the lease.
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { connect } from '../../src/platform/db/client.ts'
import { watchAttempts } from '../../src/audit/suspicions.sql.ts'

const [url, tenant] = process.argv.slice(2) as [string, string]
const db = connect(url, 2)
await db.rows`SELECT 1`
process.send?.('ready')
process.on('message', () => {
  void chainTenant(db, tenant, { look: events => watchAttempts(db, events) }).then(count => process.send?.(count))
})
process.once('disconnect', () => { void db.close() })
