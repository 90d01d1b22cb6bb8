// A right recovery or bypass code is never refused for the sake of wrong ones, and one user's hashes hold up no other user.
import t from 'tap'
import { BYPASS_SLOT, generateCode } from '../../../src/factors/recovery-codes/recovery-code.ts'
import { sweep } from '../../../src/maintenance/sweep.sql.ts'
import { administrator } from '../../helpers/administrator.ts'
import { type Answer, type User, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t)
const { clock, db } = service

const recover = (user: User, code: string | undefined): Promise<Answer> => user.call('POST', '/mfa/recovery', { code })
const renew = (user: User, token: string): Promise<Answer> => user.call('POST', '/mfa/recovery/codes', {}, token)
const refused = async (user: User): Promise<any[]> => (await user.events()).filter(({ action }) => action === 'recovery.refused')
/** Lets a minute pass, as far as the events know. */
const aMinute = ({ tenant }: User): Promise<unknown> =>
  db.rows`UPDATE refusals SET reported_at = now() - interval '61 seconds' WHERE tenant = ${tenant}`

t.test("while an attacker with the password sends wrong codes of every kind, the owner's recovery code and an administrator's " +
  'code open at the first try', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id, secret, recoveryCodes } = await enrolled()
  const attack = { isOver: false }
  const attackers = Array.from({ length: 4 }, async (_, n) => {
    for (let round = 0; !attack.isOver; round++) {
      const [path, code] =
        ([['/mfa/verify', clock.wrongCode(secret)], ['/mfa/recovery', generateCode(round % 10)], [
          '/mfa/recovery',
          generateCode(BYPASS_SLOT)
        ]] as const)[(round + n) % 3] as [string, string]
      await user.call('POST', path, { code })
    }
  })
  for (const code of recoveryCodes as string[]) {
    t.equal((await recover(user, code)).status, 200)
    t.equal((await actOn(id, 'unlock')).status, 204)
    t.equal((await recover(user, (await actOn(id, 'bypass')).body.code)).status, 200)
  }
  attack.isOver = true
  await Promise.all(attackers)
})

t.test('of refused codes there is one event a minute, which says how many there were', async t => {
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const [used, live] = recoveryCodes as [string, string]
  await recover(user, used)
  const mistyped = `${live.slice(0, -1)}${live.endsWith('Z') ? 'Y' : 'Z'}`
  for (let round = 0; round < 20; round++) t.equal((await recover(user, mistyped)).status, 422)
  t.match(await refused(user), [{ details: { count: 1, cause: 'checksum' } }])
  await aMinute(user)
  await recover(user, mistyped)
  t.match((await refused(user)).map(({ details }) => details), [{}, { count: 20, cause: 'checksum' }])
  await recover(user, used)
  await recover(user, generateCode(1))
  await aMinute(user)
  await sweep(db)
  t.same(
    (await refused(user)).slice(2).map(({ details }) => details),
    [{ count: 2 }],
    'those that no other one came after are told of, too'
  )
  await aMinute(user)
  await sweep(db)
  t.same(await db.rows`SELECT 1 FROM refusals WHERE tenant = ${user.tenant}`, [], 'and nothing is kept of them')
  t.equal((await refused(user)).length, 3)
})

t.test('a code of a spent step is told of once a minute, too', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  const spent = clock.code(secret)
  await user.call('POST', '/mfa/verify', { code: spent })
  for (let round = 0; round < 10; round++) t.equal((await user.call('POST', '/mfa/verify', { code: spent })).status, 422)
  t.match((await user.events()).filter(({ action }) => action === 'totp.refused'), [{ details: { count: 1, cause: 'spent' } }])
})

t.test('recovery codes are renewed six times an hour, and one renewal of a user at a time', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  const answers = await Promise.all(Array.from({ length: 4 }, () => renew(user, token)))
  t.same(answers.map(({ status }) => status).sort(), [201, 429, 429, 429], 'at once')
  t.ok(answers.every(({ status, headers }) => status === 201 || Number(headers.get('retry-after')) <= 10))
  for (let renewal = 2; renewal <= 6; renewal++) t.equal((await renew(user, token)).status, 201)
  const seventh = await renew(user, token)
  t.match(seventh, { status: 429, body: { code: 'too_many_attempts' } })
  const wait = Number(seventh.headers.get('retry-after'))
  t.ok(wait <= 3600 && wait > 3400, `${wait} seconds`)
  await db
    .rows`UPDATE throttles SET recent[1] = (recent[1] AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC'
      WHERE tenant = ${user.tenant} AND kind = 'renew'`
  t.equal((await renew(user, token)).status, 201)
})

t.test('a renewal that comes to nothing is let go of', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  const broken = await startService(t, service.env, clock)
  const { settle } = broken.db
  broken.db.settle = async (name, call) => {
    if (name === 'replace_codes') await db.rows`UPDATE users SET epoch = epoch + 1 WHERE tenant = ${user.tenant}`
    return await settle(name, call)
  }
  t.match(await broken.call('POST', '/mfa/recovery/codes', { token, body: {} }), { status: 409, body: { code: 'not_enrolled' } })
  t.match(await user.throttle('renew'), { wait_until: null })
})
