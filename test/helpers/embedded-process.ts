// A process of its own that starts an embedded PostgreSQL and does as its parent says: for test/db/embedded.test.ts.
import { startEmbedded } from '../../src/db/embedded.ts'

const server = await startEmbedded({ dataDir: process.argv[2]!, settings: { fsync: 'off' } })
process.on('message', async order => {
  if (order === 'exit') process.exit()
  await server.stop()
  process.disconnect()
})
process.send!(server.url)
