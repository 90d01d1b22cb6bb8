import { generateKeyPairSync, sign, verify } from 'node:crypto'
import t from 'tap'
import { PASSKEYS } from '../../../test/helpers/passkeys.ts'
import { MachineClock } from '../../../test/helpers/provider.ts'
import { AUDIENCE, ISSUER, SECRET, startService } from '../../../test/helpers/service.ts'
import { toDer } from '../src/authenticator.ts'
import { problemOf } from '../src/index.ts'
import { codeOf, createTesting } from '../src/testing.ts'

const LOCALHOST = { PASSKEY_RP_ID: 'localhost', PASSKEY_ORIGINS: 'http://localhost:*' }
const service = await startService(t, { ...LOCALHOST, JWT_SESSION_CLAIM: 'sid', MFA_APPLICATION_AUDIENCES: 'billing' }, new MachineClock())
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

t.test('a passkey is set up and proved without a browser, alone and beside an authenticator', async t => {
  const alice = testing.tenant().user('alice')
  const passkey = await alice.passkey({ label: 'Laptop' })
  t.equal(passkey.recoveryCodes.length, 10)
  const mfa = await alice.client()
  t.equal((await mfa.getStatus()).decision.action, 'verify')
  t.match(await passkey.prove(mfa), { acr: 'phr', factorId: passkey.factorId })
  t.match(await mfa.getStatus(), { decision: { reason: 'mfa_verified' }, factors: [{ label: 'Laptop', kind: 'passkey' }] })
  t.match(await passkey.prove(mfa, { acr: 'phr', audience: 'billing' }), { acr: 'phr' }, 'twice in a second')
  t.match(await alice.enroll(), { recoveryCodes: [] })
  t.match(await (await alice.client()).verify({ code: await alice.code() }), { acr: 'mfa' })
  t.match(await (await testing.tenant().user().passkey({ origin: 'https://example.com' }).catch(problemOf)), { code: 'code_refused' })
})

t.test('a passkey is of the domain that the service names', async t => {
  const elsewhere = await startService(t, PASSKEYS, new MachineClock())
  const bob = createTesting({ url: elsewhere.url, tokenSecret: SECRET, issuer: ISSUER, audience: AUDIENCE }).tenant().user('bob')
  t.match(await bob.passkey().catch(problemOf), { code: 'code_refused' }, 'https://example.com is not listed')
  const passkey = await bob.passkey({ origin: PASSKEYS.PASSKEY_ORIGINS })
  t.match(await passkey.prove(await bob.client()), { acr: 'phr' })
})

t.test('signatures are written as WebAuthn has them, whatever their numbers begin with', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const shapes = new Set<string>()
  for (let i = 0; shapes.size < 3 || i < 200; i++) {
    const data = Buffer.from(String(i))
    const raw = sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    shapes.add(raw[0] === 0 ? 'zero' : raw[0]! > 127 ? 'sign' : 'plain')
    if (!verify('sha256', data, publicKey, toDer(raw))) t.fail(raw.toString('hex'))
  }
  t.pass()
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
