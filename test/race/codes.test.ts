// Two processes, one database: a code opens once, however often it is sent at the same moment.
import t from 'tap'
import { isOneOf, startReplicas, tally } from '../helpers/replica.ts'
import { callTo } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { race, urls } = await startReplicas(t, service)

const recoveryRows = (tenant: string) =>
  service.db.rows<{ slot: number, used_at: Date | null }>`SELECT slot, used_at FROM recovery_codes WHERE tenant = ${tenant} ORDER BY slot`

t.test('of 50 parallel uses of one TOTP code over two replicas one succeeds, and none of the others counts as a failure', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  const answers = await race(user, 50, index => ['POST', '/mfa/verify', { token: user.token({ sid: `login-${index}` }), body: { code } }])
  t.ok(isOneOf(answers, 200, 422), JSON.stringify(tally(answers)))
  t.match(await user.throttle('totp'), { failures: 0, tries: 0, recent: [], wait_until: null })
  const [{ counter: step }] = await service.db.rows`SELECT counter::int FROM factors WHERE tenant = ${user.tenant}` as [{ counter: number }]
  t.equal(step, Math.floor(service.clock.seconds / 30))
  const events = await user.events()
  t.equal(events.filter(event => event.action === 'totp.accepted').length, 1)
  t.ok(events.filter(event => event.action === 'totp.refused').every(event => event.details.cause === 'spent'))
})

t.test('a code that one replica accepted is dead on the other, by every call that takes a code', async t => {
  const user = service.user()
  const { secret, token } = await user.enroll()
  const code = service.clock.code(secret)
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200)
  const call = callTo(urls[1] as string)
  t.equal((await call('POST', '/mfa/verify', { token: user.token({ sid: 'another' }), body: { code } })).status, 422)
  t.equal((await call('POST', '/mfa/verify', { token, body: { code } })).status, 422)
})

t.test('of 30 parallel uses of one recovery code over two replicas one succeeds, and one row is used', async t => {
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const answers = await race(
    user,
    30,
    index => ['POST', '/mfa/recovery', { token: user.token({ sid: `login-${index}` }), body: { code: recoveryCodes?.[3] } }]
  )
  t.ok(isOneOf(answers, 200, 422), JSON.stringify(tally(answers)))
  t.same((await recoveryRows(user.tenant)).filter(row => row.used_at !== null).map(row => row.slot), [3])
})

t.test('two recovery codes used at once, each ten times, each open once, and the rest is counted right', async t => {
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const answers = await race(
    user,
    20,
    index => ['POST', '/mfa/recovery', { token: user.token(), body: { code: recoveryCodes?.[index < 10 ? 2 : 7] } }]
  )
  t.ok(isOneOf(answers.slice(0, 10), 200, 422), JSON.stringify(tally(answers)))
  t.ok(isOneOf(answers.slice(10), 200, 422), JSON.stringify(tally(answers)))
  t.same(answers.filter(({ status }) => status === 200).map(({ body }) => body.remaining).sort(), [8, 9])
  t.same((await recoveryRows(user.tenant)).filter(row => row.used_at !== null).map(row => row.slot), [2, 7])
  t.match((await user.call('GET', '/mfa/recovery')).body, { total: 10, remaining: 8 })
})
