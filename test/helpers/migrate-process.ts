// A process of its own that migrates a database and tells its parent what it applied: for test/platform/db/migrate.test.ts.
import { applyMigrations } from '../../src/platform/db/migrate.ts'

const [url, dir] = process.argv.slice(2)
process.send!(await applyMigrations(url!, dir))
process.disconnect()
