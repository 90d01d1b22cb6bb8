// Passkeys are bound to their domain for ever: that some open nothing any more is told at the start, not found out by their users.
import t from 'tap'
import { ownDatabase } from '../../helpers/database.ts'
import { enrollPasskey, PASSKEYS } from '../../helpers/passkeys.ts'
import { type Service, startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

const { url } = await ownDatabase(t)
const ENV = { DATABASE_URL: url, ...PASSKEYS }
const metric = async (service: Service): Promise<string[]> =>
  (await service.call('GET', '/metrics')).text.split('\n').filter(line => line.startsWith('mfa_passkeys_unusable{'))
const warned = ({ log }: Service): string[] => log.filter(line => line.includes('another domain') || line.includes('other domains'))

t.test('how many there are, by their domain, in the log and the metrics', async t => {
  const first = await startService(t, ENV)
  const users = [first.user(), first.user()]
  for (const user of users) await enrollPasskey(user)
  const moved = await startService(t, { ...first.env, PASSKEY_RP_ID: 'example.org', PASSKEY_ORIGINS: 'https://example.org' })
  const [line] = await until(() => warned(moved).length > 0 && warned(moved)) as string[]
  t.match(JSON.parse(line as string), { level: 40, rpId: 'example.com', passkeys: 2 })
  t.same(await metric(moved), ['mfa_passkeys_unusable{rp_id="example.com"} 2'])
  t.same([warned(first), await metric(first)], [[], []], 'none of the configured one')

  const { PASSKEY_RP_ID: _, PASSKEY_ORIGINS: __, ...without } = first.env
  const lost = await startService(t, without)
  t.match(JSON.parse((await until(() => warned(lost)[0])) as string), { level: 40, rpId: 'example.com', passkeys: 2 })
  t.same(await metric(lost), ['mfa_passkeys_unusable{rp_id="example.com"} 2'], 'all of them, where the configuration has lost the domain')
})

t.test('a database that cannot say keeps nothing from starting', async t => {
  const service = await startService(t, { ...ENV, DATABASE_URL: 'postgresql://127.0.0.1:1/nowhere' })
  await until(() => warned(service).some(line => line.includes('could not be counted')))
  t.equal((await service.call('GET', '/health/live')).status, 200)
})
