import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { signingKey, startService } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const SNIPPET = /<!-- verify:.*-->\n```js\n([\s\S]*?)```/.exec(readFileSync('docs/back-end.md', 'utf8'))?.[1] as string

t.test('the five lines of docs/back-end.md accept our token for their application, and no other', async t => {
  const service = await useService(t, { MFA_ISSUER: 'https://mfa.example.com', MFA_APPLICATION_AUDIENCES: 'billing,other' })
  // The keys are where the service is; the rest is as it stands.
  const code = SNIPPET.replace('https://mfa.example.com/.well-known', `${service.url}/.well-known`).replace(
    "'jose'",
    JSON.stringify(import.meta.resolve('jose'))
  )
  const { verify } = await import(pathToFileURL(join(t.testdir({ 'verify.mjs': code }), 'verify.mjs')).href) as {
    verify: (token: string) => Promise<object>
  }

  const user = service.user()
  const { token: own, recoveryCodes, secret } = await user.enroll()
  const tokenFor = async (audience: string): Promise<string> => (await user.call('POST', '/mfa/token', { audience }, own)).body.token
  t.same(await verify(await tokenFor('billing')), { tenant: user.tenant, userId: (await user.row()).id })
  const verified = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret), audience: 'billing' })
  t.match(await verify(verified.body.token), { tenant: user.tenant })

  const recovered = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0], audience: 'billing' })
  const allowed = service.user()
  const forged = await startService(t, { ...service.env, MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey()] }) }, service.clock)
  const forger = forged.user()
  const { token: theirs } = await forger.enroll()
  for (const [cause, token] of Object.entries({
    'our own': own,
    'another application\'s': await tokenFor('other'),
    'a first-factor token': user.token(),
    'a recovery\'s': recovered.body.token,
    'who is allowed without': (await allowed.call('POST', '/mfa/token', { audience: 'billing' })).body.token,
    'another key of our name': (await forger.call('POST', '/mfa/token', { audience: 'billing' }, theirs)).body.token,
    'no token': 'x'
  })) await t.rejects(verify(token as string), cause)
})
