// tap runs this once after all test files, also when some failed.
import { dropDatabase, forgetRun, readRun } from './database.ts'

const { server, template, shared, holder } = readRun()
forgetRun()
if (holder) {
  process.kill(holder, 'SIGTERM')
} else {
  await dropDatabase(server, shared)
  await dropDatabase(server, template)
}
