// A change that another one overtakes, or of which the database answers what cannot be: nothing happens twice, nothing half.
import pg from 'pg'
import t, { type Test } from 'tap'
import { isSomebodyWaiting, ownDatabase } from '../../helpers/database.ts'
import { asOwner } from '../../helpers/role.ts'
import { type Answer, type User, startService } from '../../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { clock, db } = service

/** While `work` lasts, a function of the database answers `result` and does nothing. */
async function withAnswer (name: string, result: string, work: () => Promise<void>): Promise<void> {
  const [{ definition, head }] = await db.rows<{ definition: string, head: string }>`SELECT pg_get_functiondef(p.oid) AS definition,
    format('CREATE OR REPLACE FUNCTION %I(%s) RETURNS %s LANGUAGE plpgsql', p.proname, pg_get_function_arguments(p.oid),
      pg_get_function_result(p.oid)) AS head
    FROM pg_proc p WHERE p.proname = ${name}` as [{ definition: string, head: string }]
  await asOwner(url, [`${head} AS $stub$ BEGIN ${result}; END $stub$`])
  try {
    await work()
  } finally {
    await asOwner(url, [definition])
  }
}
const always = (outcome: string): string => `RETURN jsonb_build_object('outcome', '${outcome}')`

/** Calls while another transaction holds rows of the user's tenant, which it has changed before it lets go. */
async function overtaken (user: User, change: string, call: () => Promise<Answer>): Promise<Answer> {
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  try {
    await other.query('BEGIN')
    await other.query(`UPDATE ${change} WHERE tenant = $1`, [user.tenant])
    const answer = call()
    while (!await isSomebodyWaiting(url)) await new Promise(resolve => setTimeout(resolve, 5))
    await other.query('COMMIT')
    return await answer
  } finally {
    await other.end()
  }
}

const isUnavailable = (t: Test, answer: Answer): boolean => t.match(answer, { status: 503, body: { code: 'unavailable' } })

t.test('a confirmation beside another change of the factors is decided anew, and succeeds', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const answer = await overtaken(
    user,
    'users SET revision = revision + 1',
    () => user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })
  )
  t.equal(answer.status, 200)
  t.equal(answer.body.recoveryCodes.length, 10)
})

t.test('a confirmation that never gets through is 503, and the same code is good at once when it does', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const confirm = (): Promise<Answer> => user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })
  await withAnswer('confirm_factor', always('stale'), async () => { isUnavailable(t, await confirm()) })
  t.equal((await user.call('GET', '/mfa/status')).body.enrolled, false)
  t.equal((await confirm()).status, 200)
})

t.test('a confirmation that another call has done is refused', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  await withAnswer('confirm_factor', always('spent'), async () => {
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })).status, 422)
  })
})

t.test('a removal that never gets through is 503, and the factor stays', async t => {
  const user = service.user()
  const { factorId, token } = await user.enroll()
  await withAnswer('remove_factor', always('stale'), async () => {
    isUnavailable(t, await user.call('DELETE', `/mfa/factors/${factorId}`, undefined, token))
  })
  t.equal((await user.call('GET', '/mfa/factors')).body.items.length, 1)
})

t.test('what is gone meanwhile is neither renamed nor removed', async t => {
  const user = service.user()
  const { body: { factorId } } = await user.call('POST', '/mfa/enroll')
  const path = `/mfa/factors/${factorId as string}`
  await withAnswer('rename_factor', always('gone'), async () => { t.equal((await user.call('PATCH', path, { label: 'New' })).status, 404) })
  await withAnswer('remove_pending', always('gone'), async () => { t.equal((await user.call('DELETE', path)).status, 404) })
})

t.test('of two sign-outs at once the second finds its token dead', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  t.equal((await overtaken(user, 'users SET epoch = epoch + 1', () => user.call('DELETE', '/mfa/sessions', undefined, token))).status, 401)
  t.notOk((await user.events()).some(event => event.action === 'user.signed_out'))
})

t.test('a right code whose kind is closed while it is looked at is not accepted, and not spent', async t => {
  for (
    const [closing, status, code] of [["locked_at = '2026-01-01'", 403, 'factor_locked'], [
      "wait_until = now() + interval '1 hour'",
      429,
      'too_many_attempts'
    ]] as const
  ) {
    const user = service.user()
    const { secret } = await user.enroll()
    clock.advance(30)
    const verify = (): Promise<Answer> => user.call('POST', '/mfa/verify', { code: clock.code(secret) })
    t.match(await overtaken(user, `throttles SET ${closing}`, verify), { status, body: { code, token: undefined } }, closing)
    t.notOk((await user.events()).some(event => event.action === 'totp.accepted'), closing)
    await db.rows`UPDATE throttles SET locked_at = NULL, wait_until = NULL WHERE tenant = ${user.tenant}`
    t.equal((await verify()).status, 200, 'the same code, once it is open')
  }
})

t.test('an answer that cannot be is 503, and no token comes of it', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  for (const result of ['RETURN NULL', always('lost')]) {
    await withAnswer('accept_factor', result, async () => {
      const answer = await user.call('POST', '/mfa/verify', { code: clock.code(secret) })
      isUnavailable(t, answer)
      t.notMatch(answer.text, 'eyJ')
    })
  }
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200, 'the code was not spent')
})

t.test('a user who is recorded and yet not there is let in nowhere', async t => {
  const user = service.user()
  await withAnswer('upsert_user', always('seen'), async () => { isUnavailable(t, await user.call('GET', '/mfa/status')) })
  t.equal((await user.call('GET', '/mfa/status')).status, 200)
})
