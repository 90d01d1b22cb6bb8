import t from 'tap'
import { ownDatabase } from '../../helpers/database.ts'
import { type Service, startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

/** That the database was there is said for a second more. */
async function untilUnready (service: Service): ReturnType<Service['call']> {
  return await until(async () => {
    const answer = await service.call('GET', '/health/ready')
    return answer.status === 200 ? undefined : answer
  })
}

t.test('alive and ready are two questions, and neither answer tells more', async t => {
  const database = await ownDatabase(t)
  const service = await startService(t, { DATABASE_URL: database.url })
  for (const path of ['/health/live', '/health/ready']) {
    const answer = await service.call('GET', path)
    t.equal(answer.status, 200)
    t.equal(answer.text, '{"status":"ok"}')
  }
  await database.drop()
  t.equal((await service.call('GET', '/health/live')).status, 200, 'the process is alive without its database')
  const { status, headers, body } = await untilUnready(service)
  t.match({ status, body }, { status: 503, body: { code: 'unavailable' } })
  t.match(headers.get('retry-after'), /^[1-9]\d*$/)
})

t.test('a database without our tables is not ready', async t => {
  const database = await ownDatabase(t, { isMigrated: false })
  const service = await startService(t, { DATABASE_URL: database.url })
  t.equal((await service.call('GET', '/health/ready')).status, 503)
})
