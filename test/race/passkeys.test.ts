// A signed answer counts once, whichever replica it comes to; and beside an erasure no call waits for ever.
import pg from 'pg'
import t from 'tap'
import { Authenticator } from '../helpers/authenticator.ts'
import { ownDatabase } from '../helpers/database.ts'
import { answerChallenge, enrollPasskey, PASSKEYS, provePasskey, startPasskey } from '../helpers/passkeys.ts'
import { isOneOf, startReplicas, tally } from '../helpers/replica.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const service = await startService(t, { ...PASSKEYS, JWT_SESSION_CLAIM: 'sid' })
const { race, urls } = await startReplicas(t, service)
const { db } = service

t.test('of 200 parallel uses of one assertion over two replicas one succeeds, with one event, and one session', async t => {
  for (const isEligible of [false, true]) {
    const user = service.user({ sid: 's1' })
    const { authenticator } = await enrollPasskey(user, { authenticator: new Authenticator({ isEligible }) })
    const credential = await answerChallenge(user, authenticator)
    const answers = await race(user, 200, () => ['POST', '/mfa/passkeys/verify', { token: user.token(), body: { credential } }])
    t.ok(isOneOf(answers, 200, 422), JSON.stringify(tally(answers)))
    const events = await user.events()
    t.equal(events.filter(({ action }) => action === 'passkey.accepted').length, 1)
    t.ok(events.filter(({ action }) => action === 'passkey.refused').every(({ details: { cause } }) => cause === 'spent'))
    t.match(await db.rows`SELECT cardinality(spent) AS spent, counter::int FROM factors WHERE tenant = ${user.tenant}`, [{
      spent: 1,
      counter: 1
    }])
    t.equal((await db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant} AND acr = 'phr'`).length, 1)
  }
})

t.test('answers to different challenges of a synced passkey all count, in whatever order they come', async t => {
  const user = service.user()
  const { authenticator } = await enrollPasskey(user, { authenticator: new Authenticator({ isEligible: true }) })
  const credentials = await Promise.all(Array.from({ length: 20 }, () => answerChallenge(user, authenticator)))
  const answers = await race(
    user,
    20,
    index => ['POST', '/mfa/passkeys/verify', { token: user.token(), body: { credential: credentials[19 - index] } }]
  )
  t.same(tally(answers), { 200: 20 })
})

t.test('of 50 parallel confirmations one succeeds, and two users of a tenant do not get one credential', async t => {
  const user = service.user()
  const { factorId, options } = await startPasskey(user)
  const credential = new Authenticator().create(options)
  const answers = await race(user, 50, () => ['POST', '/mfa/passkeys/confirm', { token: user.token(), body: { factorId, credential } }])
  t.equal(answers.filter(({ status }) => status === 200).length, 1, JSON.stringify(tally(answers)))
  t.match(await db.rows`SELECT count(*)::int AS factors FROM factors WHERE tenant = ${user.tenant}`, [{ factors: 1 }])

  const id = Buffer.from('the same credential of two users')
  const pair = [service.user(), service.user()].map((one, index, all) =>
    index === 0 ? one : service.user({ tenant: (all[0] as typeof one).tenant })
  )
  const bodies = await Promise.all(pair.map(async each => {
    const started = await startPasskey(each)
    return { factorId: started.factorId, credential: new Authenticator({ id }).create(started.options) }
  }))
  const both = await Promise.all(
    pair.map((each, index) => service.call('POST', '/mfa/passkeys/confirm', { token: each.token(), body: bodies[index] }))
  )
  t.same(both.map(({ status }) => status).sort(), [200, 422])
})

t.test('beside erasures and removals nothing deadlocks, and nothing is left of who is gone', { timeout: 120_000 }, async t => {
  for (let round = 0; round < 15; round++) {
    const user = service.user({ sid: 's1' })
    const { authenticator } = await enrollPasskey(user, { authenticator: new Authenticator({ isEligible: true }) })
    const { id } = await user.row()
    const credentials = await Promise.all(Array.from({ length: 6 }, () => answerChallenge(user, authenticator)))
    const spent = await answerChallenge(user, authenticator)
    await user.call('POST', '/mfa/passkeys/verify', { credential: spent })
    const tombstone = { hash: `h${round}${user.tenant}`, pepperId: 'p1', hashes: [], at: new Date() }
    const [erased, ...answers] = await Promise.all([
      db.rows`SELECT erase_user(${user.tenant}, ${id}::uuid, 'x', ${tombstone}::jsonb, '{"actor": "operator"}') AS result`,
      ...[...credentials, spent, spent].map((credential, index) => fetch(`${urls[index % 2] as string}/mfa/passkeys/verify`, {
        method: 'POST',
        headers: { authorization: `Bearer ${user.token()}`, 'content-type': 'application/json' },
        body: JSON.stringify({ credential })
      }))
    ])
    t.match(erased, [{ result: { outcome: 'erased' } }])
    t.ok(answers.every(({ status }) => status < 500), answers.map(({ status }) => status).join())
    t.same(
      await db
        .rows`SELECT 1 FROM factors WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid UNION ALL SELECT 1 FROM mfa_sessions
          WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`,
      []
    )
  }
  const user = service.user()
  const passkey = await enrollPasskey(user)
  const { body: { token } } = await provePasskey(user, passkey.authenticator)
  const [removed, verified] = await Promise.all([
    user.call('DELETE', `/mfa/factors/${passkey.factorId}`, {}, token),
    answerChallenge(user, passkey.authenticator).then(credential => user.call('POST', '/mfa/passkeys/verify', { credential })).catch(() =>
      undefined
    )
  ])
  t.equal(removed.status, 204)
  t.ok([undefined, 200, 401, 409, 422].includes(verified?.status), String(verified?.status))
})

// A wait is seen where its lock is: on a cluster that is a worker, and the order is the same there.
const onOneServer = { skip: (process.env.CITUS_DIR ?? process.env.TEST_CITUS_URL) !== undefined && "the locks are the workers'" }

t.test('an answer that remembers its session and an erasure of its user wait for each other in one order', onOneServer, async t => {
  const { url } = await ownDatabase(t)
  const own = await startService(t, { ...PASSKEYS, JWT_SESSION_CLAIM: 'sid', DATABASE_URL: url })
  const user = own.user({ sid: 's1' })
  const { factorId } = await enrollPasskey(user, { token: user.token({ sid: undefined }) })
  const { id } = await user.row()
  const clients = await Promise.all(Array.from({ length: 3 }, async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end())
    return client
  }))
  const [holder, answering, erasing] = clients as [pg.Client, pg.Client, pg.Client]
  const waiting = (count: number) => until(async () => (await own.db.rows<{ waiting: number }>`SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0]?.waiting === count)
  // The answer has locked what it changes, and waits to remember its session.
  await holder.query('BEGIN')
  await holder.query('LOCK TABLE mfa_sessions IN SHARE MODE')
  const proved = { acr: 'phr', methods: ['pop'], factorId, authTime: 1, epoch: 1, endsAt: own.clock.seconds + 900, mac: '00' }
  const session = { issuer: 'https://id.test', session: 's1', ...proved }
  const challenge = String(BigInt(Date.now()) << 20n)
  const answer = 'SELECT accept_passkey($1, $2, 1, $3, $4, 300, 100, 1, false, $5, $6) AS result'
  const answered = answering.query(answer, [user.tenant, id, factorId, challenge, session, { actor: id }])
  await waiting(1)
  const tombstone = { hash: 'h', pepperId: 'p1', hashes: [], at: new Date() }
  const erased = erasing.query('SELECT erase_user($1, $2, $3, $4, $5) AS result', [user.tenant, id, 'x', tombstone, { actor: 'operator' }])
  await waiting(2)
  await holder.query('COMMIT')
  t.match((await answered).rows, [{ result: { outcome: 'accepted', generation: 0 } }])
  t.match((await erased).rows, [{ result: { outcome: 'erased' } }])
  t.same(await own.db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant}`, [])
})

const REQUIRED = { enforcement: 'required', phishingResistant: 'required' }

t.test('where a passkey is required, of the last two that are removed at once one stays', async t => {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { authenticator: key } = await enrollPasskey(admin)
  await admin.call('PUT', '/admin/policy', REQUIRED, (await provePasskey(admin, key)).body.token)
  for (let round = 0; round < 3; round++) {
    const user = service.user({ tenant: admin.tenant })
    const { authenticator, factorId: first } = await enrollPasskey(user)
    const { body: { token } } = await provePasskey(user, authenticator)
    await user.enroll(token)
    const { factorId: second } = await enrollPasskey(user, { token: (await provePasskey(user, authenticator)).body.token })
    const by = (await provePasskey(user, authenticator)).body.token
    const answers = await race(user, 2, index => ['DELETE', `/mfa/factors/${[first, second][index] as string}`, { token: by }])
    t.equal(answers.filter(({ status }) => status === 200 || status === 204).length, 1, JSON.stringify(tally(answers)))
    const left = await db.rows`SELECT kind FROM factors WHERE tenant = ${user.tenant} AND user_id = ${(await user.row()).id}::uuid ORDER BY kind`
    t.same(left.map(({ kind }: any) => kind), ['passkey', 'totp'])
  }
})

t.test('two changes that bind an administrator only together: at least one of them is refused', async t => {
  for (let round = 0; round < 3; round++) {
    const admin = service.user({ roles: ['mfa:admin'] })
    const { token } = await admin.enroll()
    await admin.call('PUT', '/admin/policy', { enforcement: 'required', groups: ['sales'] }, token)
    const changes = [{ groups: null }, { phishingResistant: 'required' }]
    const answers = await race(admin, 2, index => ['PUT', '/admin/policy', { token, body: changes[index] }])
    t.same(tally(answers), { 200: 1, 409: 1 })
    t.equal((await admin.call('GET', '/admin/policy', undefined, token)).status, 200, 'and they administer as before')
  }
})
