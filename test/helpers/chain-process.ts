// A process of its own that chains a tenant's events without asking for the lease: for test/race/audit.test.ts.
import { chainTenant } from '../../src/db/audit-chain.ts'
import { connect } from '../../src/db/client.ts'

const [url, tenant] = process.argv.slice(2) as [string, string]
const db = connect(url, 2, () => {})
await db.rows`SELECT 1`
process.send?.('ready')
process.on('message', () => { void chainTenant(db, tenant).then(count => process.send?.(count)) })
process.once('disconnect', () => { void db.close() })
