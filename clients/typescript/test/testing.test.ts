import t from 'tap'
import { MachineClock } from '../../../test/helpers/provider.ts'
import { AUDIENCE, ISSUER, SECRET, startService } from '../../../test/helpers/service.ts'
import { codeOf, createTesting } from '../src/testing.ts'

const service = await startService(t, { JWT_SESSION_CLAIM: 'sid' }, new MachineClock())
const testing = createTesting({ url: service.url, tokenSecret: SECRET, issuer: ISSUER, audience: AUDIENCE })

t.test('codes are those of RFC 6238, of any secret and time', async t => {
  // The RFC's own secret, 12345678901234567890, and the last six digits of its table.
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
  for (const [time, code] of [[59, '287082'], [1111111109, '081804'], [2000000000, '279037'], [20000000000, '353130']] as const) {
    t.equal(await codeOf(secret, Math.floor(time / 30)), code)
  }
})

t.test('an enrolled user has a code for the next login at once, and none twice', async t => {
  const alice = testing.tenant().user('alice')
  const { secret, recoveryCodes, token } = await alice.enroll('Phone')
  t.match(secret, /^[A-Z2-7]{32}$/)
  t.equal(recoveryCodes.length, 10)
  t.match(await (await fetch(`${service.url}/mfa/status`, { headers: { authorization: `Bearer ${token}` } })).json(), {
    subject: 'alice',
    decision: { reason: 'mfa_verified' },
    factors: [{ label: 'Phone' }]
  })
  const mfa = await alice.client()
  t.equal((await mfa.getStatus()).decision.action, 'verify')
  const code = await alice.code()
  t.match(await mfa.verify({ code }), { acr: 'mfa' })
  t.equal((await mfa.getStatus()).decision.action, 'allow')
  const other = await alice.client()
  t.match(await other.recover({ code: recoveryCodes[0] as string }), { remaining: 9 })
  t.not(await alice.code(), code)
})

t.test('tenants are apart: the same name is another user, and the flag of one tenant binds no user of another', async t => {
  const [one, other] = [testing.tenant(), testing.tenant()]
  const admin = one.user('alice', { roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const put = await fetch(`${service.url}/admin/policy`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{"enforcement":"required"}'
  })
  t.equal(put.status, 200)
  t.equal((await (await one.user('bob').client()).getStatus()).decision.action, 'enroll')
  t.match(await (await other.user('alice').client()).getStatus(), { enrolled: false, decision: { action: 'allow' } })
  t.equal((await (await one.user('carol', { accounts: ['sso'] }).client()).getStatus()).decision.reason, 'exempt_sso')
})

t.test('what is missing is named', async t => {
  t.throws(() => createTesting({ url: service.url }), /tokenSecret is missing, and so is MFA_TEST_TOKEN_SECRET/)
  await t.rejects(testing.tenant().user().code(), /call enroll\(\) first/)
})
