import { randomBytes } from 'node:crypto'
import t from 'tap'
import { isGenuine, macOf, type SessionOwner, type StoredAuthentication } from '../../src/sessions/remembered.ts'

const ring = (...ids: string[]): { primary: string, keys: Map<string, Buffer> } =>
  ({ primary: ids[0] as string, keys: new Map(ids.map(id => [id, randomBytes(32)])) })
const owner: SessionOwner = { tenant: 'acme', userId: 'u1', epoch: 7, issuer: 'https://id.test', session: 's1' }
const authentication: StoredAuthentication = {
  acr: 'mfa',
  methods: ['otp'],
  factorId: 'f1',
  authTime: 1_795_521_600,
  endsAt: 1_795_564_800
}

t.test('a remembered authentication counts for its own session, user, tenant and epoch, as it was, and for nothing else', async t => {
  const peppers = ring('p1')
  const mac = macOf(peppers, owner, authentication)
  t.ok(isGenuine(peppers, owner, authentication, mac))
  const owners: Array<Partial<SessionOwner>> = [{ tenant: 'acme2' }, { userId: 'u2' }, { epoch: 8 }, { issuer: 'https://other.test' }, {
    session: 's2'
  }]
  for (const other of owners) t.notOk(isGenuine(peppers, { ...owner, ...other }, authentication, mac), JSON.stringify(other))
  const authentications: Array<Partial<StoredAuthentication>> = [
    { acr: 'mfa-recovery' },
    { methods: ['recovery'] },
    { methods: [] },
    { factorId: 'f2' },
    { authTime: authentication.authTime + 1 },
    { endsAt: authentication.endsAt + 1 }
  ]
  for (const other of authentications) t.notOk(isGenuine(peppers, owner, { ...authentication, ...other }, mac), JSON.stringify(other))
  for (const other of [Buffer.alloc(0), Buffer.alloc(32), mac.subarray(1), Buffer.concat([mac, mac])]) {
    t.notOk(isGenuine(peppers, owner, authentication, other))
  }
})

t.test('it counts by any pepper that is there, and by none that is gone', async t => {
  const old = ring('p1')
  const mac = macOf(old, owner, authentication)
  const rotated = ring('p2')
  t.notOk(isGenuine(rotated, owner, authentication, mac))
  rotated.keys.set('p1', old.keys.get('p1') as Buffer)
  t.ok(isGenuine(rotated, owner, authentication, mac))
  t.ok(isGenuine(rotated, owner, authentication, macOf(rotated, owner, authentication)))
})
