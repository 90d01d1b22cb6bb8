import t from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { keySet } from '../../src/config/secrets.ts'
import { markKeys } from '../../src/keys/keys.ts'
import { forgetKey, proveKeys } from '../../src/keys/keys.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { key } from '../helpers/keys.ts'
import { startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { db } = service

const prove = (env: Record<string, string> = {}): Promise<void> => {
  const config = readConfig({ ...service.env, ...env })
  return proveKeys(db, markKeys(keySet(config)), config.MFA_ENCRYPTION_KEYS)
}

t.test('a sealing key that is not known yet is the one that opens some of what its id has sealed', async t => {
  await service.user().enroll()
  const { factorId } = await service.user().enroll()
  await db.rows`UPDATE factors SET sealed = '\\x00' WHERE id = ${factorId}::uuid`
  await t.rejects(prove({ MFA_ENCRYPTION_KEYS: `k1:${key()}` }), { name: 'KeyError', purpose: 'sealing' })
  t.same(await db.rows`SELECT id FROM keys`, [])
  await prove()
  await t.rejects(prove({ MFA_ENCRYPTION_KEYS: `k1:${key()}` }), { name: 'KeyError' }, 'and by its fingerprint from then on')
})

t.test('a key is forgotten once, if it is known', async t => {
  await t.rejects(prove({ MFA_PEPPERS: `p2:${key()}` }), { name: 'KeyError', purpose: 'pepper' })
  t.same([await forgetKey(db, 'pepper', 'p7'), await forgetKey(db, 'pepper', 'p1'), await forgetKey(db, 'pepper', 'p1')], [
    false,
    true,
    false
  ])
  await prove({ MFA_PEPPERS: `p2:${key()}` })
})
