// A process of its own that starts an embedded PostgreSQL and does as its parent says: for
// test/platform/embedded-postgres/embedded.test.ts.
import { startEmbedded } from '../../src/platform/embedded-postgres/embedded.ts'

const server = await startEmbedded({ dataDir: process.argv[2]!, settings: { fsync: 'off' } })
process.on('message', async order => {
  if (order === 'exit') process.exit()
  await server.stop()
  process.disconnect()
})
process.send!(server.url)
