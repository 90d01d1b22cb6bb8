import t from 'tap'
import { createApp } from '../src/app.ts'
import { callTo, startService } from './helpers/service.ts'

t.test('tokens are judged by the machine\'s clock where no other is given', async t => {
  const service = await startService(t)
  service.clock.advance(3600)
  const app = await createApp({ config: service.config, db: service.db, logStream: { write: () => {} } })
  t.teardown(() => app.close())
  const call = callTo(await app.listen({ host: '127.0.0.1', port: 0 }))
  const now = Math.floor(Date.now() / 1000)
  const token = service.user().token({ iat: now, auth_time: now, exp: now + 900 })
  t.equal((await call('GET', '/mfa/status', { token })).status, 200)
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 401, 'an hour later it has expired')
})
