import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { Metrics, registerMetrics } from '../../../src/http/plugins/metrics.ts'
import { ProblemSchema } from '../../../src/http/openapi.ts'
import { raw, request } from '../../helpers/raw.ts'
import { type Service, startService } from '../../helpers/service.ts'

/** The numbers of a scrape, by name and labels. */
async function scrape (service: Service): Promise<Record<string, number>> {
  const { status, text, headers } = await service.call('GET', '/metrics')
  if (status !== 200 || !/^text\/plain/.test(headers.get('content-type') as string)) throw new Error(text)
  return Object.fromEntries(
    text.split('\n').filter(line => line !== '' && !line.startsWith('#')).map(
      line => [line.replace(/ [^ ]+$/, ''), Number(line.split(' ').at(-1))]
    )
  )
}

t.test('codes are counted by kind and outcome, errors by their code', async t => {
  const service = await startService(t)
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  await user.verify(secret)
  const code = service.clock.wrongCode(secret)
  for (let i = 0; i < 6; i++) await user.call('POST', '/mfa/verify', { code })
  await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.match(await scrape(service), {
    'mfa_codes_total{kind="enrollment",outcome="accepted"}': 1,
    'mfa_codes_total{kind="totp",outcome="accepted"}': 1,
    'mfa_codes_total{kind="totp",outcome="code_refused"}': 5,
    'mfa_codes_total{kind="totp",outcome="too_many_attempts"}': 1,
    'mfa_codes_total{kind="recovery",outcome="accepted"}': 1,
    'mfa_codes_total{kind="recovery",outcome="code_refused"}': 1,
    'mfa_problems_total{code="code_refused"}': 6,
    'mfa_accepted_step_drift_total{steps="0"}': 1,
    'mfa_settlement_duration_seconds_count{settlement="refuse_factor",outcome="refused"}': 5,
    'mfa_settlement_duration_seconds_count{settlement="accept_factor",outcome="accepted"}': 1,
    'mfa_crypto_duration_seconds_count{operation="bcrypt_hash"}': 10,
    'mfa_crypto_duration_seconds_count{operation="bcrypt_compare"}': 2,
    'mfa_crypto_duration_seconds_count{operation="check_totp"}': 7,
    'mfa_crypto_duration_seconds_count{operation="sign_token"}': 3,
    'mfa_http_request_duration_seconds_count{method="POST",route="/mfa/verify",status="422"}': 5
  })
})

t.test('the steps that accepted codes are away from ours are told, so that a wrong clock is seen', async t => {
  const service = await startService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  service.clock.advance(60)
  await user.call('POST', '/mfa/verify', { code: service.clock.code(secret, -1) })
  await user.call('POST', '/mfa/verify', { code: service.clock.code(secret, 1) })
  t.match(await scrape(service), { 'mfa_accepted_step_drift_total{steps="-1"}': 1, 'mfa_accepted_step_drift_total{steps="1"}': 1 })
})

t.test('lines of the log that are lost are counted, from 0 on', async t => {
  const metrics = new Metrics()
  t.match(await metrics.registry.metrics(), /^mfa_log_lines_lost_total 0$/m)
  metrics.logLineLost()
  t.match(await metrics.registry.metrics(), /^mfa_log_lines_lost_total 1$/m)
})

t.test('a user that a report-only policy would ask is counted once', async t => {
  const service = await startService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { enforcement: 'report_only' }, token)
  const user = service.user({ tenant: admin.tenant })
  for (let i = 0; i < 3; i++) await user.call('GET', '/mfa/status')
  t.match(await scrape(service), { mfa_would_enroll_total: 1 })
})

t.test('labels are bounded: nothing of the caller, of a path or of a code becomes one', async t => {
  const service = await startService(t)
  const user = service.user({ sub: 'canary7391', tenant: 'canary7391-tenant' })
  const { factorId, secret } = await user.enroll()
  await user.call('PATCH', `/mfa/factors/${factorId}`, { label: 'canary7391' })
  await user.call('GET', '/mfa/canary7391')
  await user.call('PUT', `/mfa/factors/${factorId}`, {})
  await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })
  await raw(service.url, request('BREW /mfa/status'))
  const { text } = await service.call('GET', '/metrics')
  t.notMatch(text, /canary7391/)
  t.notMatch(text, factorId)
  t.match(text, 'route="/mfa/factors/:factorId"')
  t.match(text, 'method="PUT",route="/mfa/factors/:factorId",status="405"', 'of a method that it does not have, too')
})

t.test('the pool is seen, and what the process itself needs', async t => {
  const service = await startService(t)
  t.match(await scrape(service), { 'mfa_database_connections{state="waiting"}': 0, 'mfa_notices{state="parked"}': 0 })
  const { rows } = service.db
  service.db.rows = async () => { throw new Error('gone') }
  const shown = await scrape(service)
  service.db.rows = rows
  t.match(shown, { 'mfa_database_connections{state="waiting"}': 0 }, 'what can be read is shown')
  t.notOk('mfa_notices{state="parked"}' in shown)
  const metrics = new Metrics()
  metrics.collectProcess()
  metrics.event('totp.locked', 'failure')
  metrics.auditBreak()
  const text = await metrics.registry.metrics()
  t.match(text, 'nodejs_eventloop_lag_p99_seconds')
  t.match(text, 'process_resident_memory_bytes')
  t.match(text, 'mfa_events_total{action="totp.locked",outcome="failure"} 1')
  t.match(text, 'mfa_audit_breaks_total 1')
})

t.test('what an alert waits for is there before it happens: its first time is an increase', async t => {
  const text = await new Metrics().registry.metrics()
  for (
    const series of [
      'mfa_problems_total{code="unavailable"} 0',
      'mfa_problems_total{code="internal"} 0',
      'mfa_audit_breaks_total 0',
      'mfa_events_total{action="secret.unreadable",outcome="failure"} 0',
      'mfa_events_total{action="spray.suspected",outcome="failure"} 0',
      'mfa_notice_deliveries_total{outcome="delivered"} 0'
    ]
  ) t.match(text, series)
})

t.test('numbers are made once for all who ask at the same moment, and are of then', async t => {
  const metrics = new Metrics()
  let made = 0
  metrics.watch('mfa_made', 'How often.', 'what', () => ({ made: ++made }))
  const app = Fastify() as unknown as FastifyInstance
  t.teardown(() => app.close())
  app.addSchema(ProblemSchema)
  registerMetrics(app, metrics)
  const ask = async (): Promise<string | undefined> => /mfa_made{what="made"} (\d+)/.exec((await app.inject('/metrics')).body)?.[1]
  t.same(await Promise.all(Array.from({ length: 20 }, ask)), Array.from({ length: 20 }, () => '1'))
  t.equal(await ask(), '2', 'the next is made anew')
})
