// A replica whose clock is not the database's: it says so, and judges no code by it.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ClockSkew } from '../../../src/platform/clock-skew.ts'
import { startComparingClocks } from '../../../src/platform/db/clock.ts'
import { connect } from '../../../src/platform/db/client.ts'
import { databaseUrl } from '../../helpers/database.ts'
import { startProxy } from '../../helpers/proxy.ts'
import { startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

t.test('more than 45 seconds off it is not ready and refuses calls with codes before it counts them; it heals by itself', async t => {
  const skew = new ClockSkew()
  const service = await startService(t, {}, undefined, undefined, skew)
  const user = service.user()
  const { secret } = await user.enroll()
  service.clock.advance(30)
  let aheadMs = 10_000
  const news: string[] = []
  const stop = await startComparingClocks(service.db, skew, {
    onNews: what => {
      news.push(what)
    },
    now: () => Date.now() + aheadMs,
    intervalMs: 20
  })
  t.teardown(stop)
  const metric = async (): Promise<number> =>
    Number(/^mfa_clock_skew_seconds (\S+)$/m.exec((await service.call('GET', '/metrics')).text)?.[1])

  t.same(news, ['off'])
  t.equal(Math.round(await metric()), 10, 'the metric shows it')
  t.equal((await service.call('GET', '/health/ready')).status, 200, 'ten seconds stop no replica')

  aheadMs = -90_000
  await until(() => skew.isTooLarge)
  t.match(await service.call('GET', '/health/ready'), { status: 503, body: { code: 'unavailable', detail: /clock of this server/ } })
  const before = await user.throttle('totp')
  const wrong = service.clock.wrongCode(secret)
  for (const path of ['/mfa/verify', '/mfa/recovery', '/mfa/enroll/confirm']) {
    const answer = await user.call('POST', path, { code: wrong })
    t.match(answer, { status: 503, body: { code: 'unavailable', detail: /checks no codes/ } }, path)
    t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/)
  }
  t.same(await user.throttle('totp'), before, 'nothing was counted')
  t.equal((await user.call('GET', '/mfa/status')).status, 200, 'what needs no code goes on')

  aheadMs = 0
  await until(() => !skew.isTooLarge)
  t.equal((await service.call('GET', '/health/ready')).status, 200)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 200)
  t.same(news, ['off', 'refusing', 'healed'])
})

t.test('a database that cannot be asked changes nothing, and one that answers late is no wrong clock', async t => {
  const proxy = await startProxy(t, databaseUrl())
  const db = connect(() => proxy.url, 2)
  t.teardown(async () => { await db.close() })
  const skew = new ClockSkew()
  const news: string[] = []
  proxy.slow(300)
  const stop = await startComparingClocks(db, skew, { onNews: what => { news.push(what) }, intervalMs: 20 })
  t.ok(Math.abs(skew.seconds) < 1)
  await stop()
  proxy.slow(0)
  const stopAhead = await startComparingClocks(db, skew, {
    onNews: what => {
      news.push(what)
    },
    now: () => Date.now() + 60_000,
    intervalMs: 20
  })
  t.teardown(stopAhead)
  t.ok(skew.isTooLarge)
  await proxy.refuse()
  await sleep(100)
  t.ok(skew.isTooLarge, 'what was known stays')
  t.same(news, ['refusing'])
})
