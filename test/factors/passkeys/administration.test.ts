// What administrators see of passkeys and do to them: what they do to any factor, and nothing of locks, as passkeys have none.
import t from 'tap'
import { administrator } from '../../helpers/administrator.ts'
import { Authenticator } from '../../helpers/authenticator.ts'
import { enrollPasskey, PASSKEYS, provePasskey } from '../../helpers/passkeys.ts'
import { startService } from '../../helpers/service.ts'

const service = await startService(t, PASSKEYS)

t.test('a passkey is seen, counted and listed, and a reset takes it', async t => {
  const { admin, token, actOn: act, seen } = await administrator(service)
  const synced = await seen()
  const single = await seen()
  const none = await seen()
  const authenticatorOfMany = new Authenticator({ isEligible: true, isBackedUp: true })
  const { factorId, credentialId } = await enrollPasskey(synced.user, { authenticator: authenticatorOfMany })
  const { authenticator } = await enrollPasskey(single.user)
  await enrollPasskey(single.user, { token: (await provePasskey(single.user, authenticator)).body.token })
  const get = async (path: string): Promise<any> => (await admin.call('GET', path, undefined, token)).body

  const user = await get(`/admin/users/${synced.id}`)
  const passkey = { rpId: 'example.com', credentialId, synced: true, usable: true }
  t.match(user, { enrolled: true, factors: [{ id: factorId, kind: 'passkey', status: 'active', passkey }] })
  t.same(Object.keys(user.locks), ['totp'], 'a passkey is never locked')
  t.same((await get('/admin/stats')).passkeys, { users: 2, synced: 1 })

  const ids = async (factor: string): Promise<string[]> => (await get(`/admin/users?factor=${factor}`)).items.map(({ userId }: any) => userId).sort()
  t.same(await ids('passkey'), [synced.id, single.id].sort())
  t.same(await ids('totp'), [(await admin.row()).id])
  t.same(await ids('none'), [none.id])
  t.same((await get('/admin/users?factor=passkey&status=not_enrolled')).items, [], 'filters are combined')
  t.same((await get('/admin/users?factor=passkey&status=enrolled&limit=1')).items.length, 1)
  const unknown = await admin.call('GET', '/admin/users?factor=sms', undefined, token)
  t.match(unknown, { status: 400, body: { errors: [{ field: 'querystring.factor' }] } })

  t.equal((await act(synced.id, 'reset')).status, 204)
  t.match(await get(`/admin/users/${synced.id}`), { enrolled: false, factors: [] })
  t.same((await get('/admin/stats')).passkeys, { users: 1, synced: 0 })
  t.match(await get(`/admin/audit?userId=${synced.id}&action=user.reset`), { items: [{ details: { factors: [{ factorId, kind: 'passkey', label: 'Passkey 1' }] } }] })
  t.match(await get(`/admin/audit?userId=${single.id}&action=passkey.accepted`), { items: [{ factorKind: 'passkey', outcome: 'success' }] })
  t.equal((await act(single.id, 'erase')).status, 204)
  t.same(await service.db.rows`SELECT 1 FROM factors WHERE tenant = ${admin.tenant} AND kind = 'passkey'`, [])
})

t.test('refused answers are no guesses: nothing is suspected of them', async t => {
  const user = service.user()
  const { authenticator } = await enrollPasskey(user)
  for (let time = 0; time < 3; time++) {
    for (const lie of [{ origin: 'https://evil.example' }, { isPresent: false }]) {
      t.equal((await provePasskey(user, authenticator, lie)).status, 422)
    }
  }
  t.equal((await provePasskey(user, authenticator)).status, 200)
  const { chainTenant } = await import('../../../src/audit/chain.sql.ts')
  const { watchAttempts } = await import('../../../src/audit/suspicions.sql.ts')
  await chainTenant(service.db, user.tenant, { look: events => watchAttempts(service.db, events) })
  t.same((await user.events()).filter(({ action }) => action.endsWith('.suspected')), [])
})
