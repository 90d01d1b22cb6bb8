// A gateway that asks for a passkey gets one, and every other is told `mfa`, so that nothing that compares with it breaks.
import t from 'tap'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { type Answer, startService } from '../helpers/service.ts'

const PAGES = {
  ENROLL_PAGE_URL: 'https://app.example.com/set-up',
  VERIFY_PAGE_URL: 'https://app.example.com/code?a=b',
  LOGIN_PAGE_URL: 'https://id.example.com/login'
}
const service = await startService(t, { ...PASSKEYS, ...PAGES, JWT_SESSION_CLAIM: 'sid' })
const ask = (token: string, query = ''): Promise<Answer> => service.call('GET', `/mfa/authorize${query}`, { token })
const seen = ({ status, headers }: Answer): unknown[] => [status, headers.get('x-mfa-acr') ?? headers.get('x-mfa-action')]
const PHR = '?acr=phr'

t.test('a passkey passes: as phr for the gateway that asks, and as mfa for others', async t => {
  const user = service.user({ sid: 's1' })
  const { authenticator, token: setUp } = await enrollPasskey(user)
  t.same(seen(await ask(setUp)), [200, 'mfa'])
  t.same(seen(await ask(setUp, PHR)), [401, 'verify'], 'a set-up proves no possession')
  const { body: { token } } = await provePasskey(user, authenticator)
  t.same(seen(await ask(token, PHR)), [200, 'phr'])
  t.same(seen(await ask(token)), [200, 'mfa'])
  t.same(seen(await ask(token, '?acr=mfa')), [200, 'mfa'])
  t.same(seen(await ask(user.token(), PHR)), [200, 'phr'], 'and so does what its session remembers')
  t.same(seen(await ask(user.token(), PHR)), [200, 'phr'], 'from memory, too')
  t.same(seen(await ask(user.token())), [200, 'mfa'])
  t.same(seen(await ask(user.token(), `${PHR}&maxAge=60`)), [200, 'phr'])
  t.equal((await user.call('DELETE', '/mfa/session', {})).status, 204)
  t.same(seen(await ask(user.token(), PHR)), [401, 'verify'])
})

t.test('a code is not enough: the challenge and the page say what is', async t => {
  const user = service.user({ sid: 's1' })
  const { secret, token } = await user.enroll()
  await enrollPasskey(user, { token })
  const answer = await ask(await user.verify(secret), PHR)
  t.match(answer, { status: 401, body: { code: 'step_up_required', action: 'verify', acr: 'phr', detail: /Only a passkey/ } })
  t.equal(answer.headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", acr_values="phr", max_age=43200')
  t.equal(answer.headers.get('x-mfa-location'), 'https://app.example.com/code?a=b&acr=phr')
})

t.test('without a passkey the user is led to the set-up of one, with a factor and without', async t => {
  const user = service.user({ sid: 's1' })
  const first = await ask(user.token(), PHR)
  t.same(seen(first), [403, 'enroll'])
  t.equal(first.headers.get('x-mfa-location'), 'https://app.example.com/set-up?kind=passkey')
  const { token } = await user.enroll()
  const second = await ask(token, PHR)
  t.match(second, { status: 403, body: { code: 'enrollment_required' } })
  t.equal(second.headers.get('x-mfa-location'), 'https://app.example.com/set-up?kind=passkey')
  t.same(seen(await ask(user.token({ auth_time: 1 }), PHR)), [403, 'enroll'], 'an old login adds a further factor all the same')
  const old = service.user({ auth_time: service.clock.seconds - 4000 })
  t.same(seen(await ask(old.token(), PHR)), [403, 'enroll'])
  t.match((await ask(old.token(), PHR)).headers.get('x-mfa-location'), /^https:\/\/id\.example\.com\/login\?max_age=900/)
})

t.test('without pages the problem says which call', async t => {
  const none = { ENROLL_PAGE_URL: undefined, VERIFY_PAGE_URL: undefined, LOGIN_PAGE_URL: undefined }
  const plain = await startService(t, { ...service.env, ...none }, service.clock)
  const user = service.user()
  const { token } = await user.enroll()
  t.match(await plain.call('GET', '/mfa/authorize?acr=phr', { token }), {
    status: 403,
    body: { code: 'enrollment_required', acr: 'phr', detail: /POST \/mfa\/passkeys/ }
  })
  const challenging = await startService(t, { ...service.env, GATEWAY_ENROLL_STATUS: '401' }, service.clock)
  const challenged = async (query: string): Promise<string | null> =>
    (await challenging.call('GET', `/mfa/authorize${query}`, { token: service.user().token() })).headers.get('www-authenticate')
  t.equal(await challenged(PHR), 'Bearer error="insufficient_user_authentication", acr_values="phr"', 'and the challenge says of what')
  t.equal(await challenged('?acr=mfa'), 'Bearer error="insufficient_user_authentication", acr_values="mfa"')
  const unknown = await plain.call('GET', '/mfa/authorize?acr=high', { token })
  t.match(unknown, { status: 400, body: { errors: [{ field: 'querystring.acr', message: 'must be one of mfa, phr' }] } })
})
