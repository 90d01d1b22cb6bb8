// Keys change under load: two processes verify codes and each other's tokens all the while, and no login fails.
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { keysCommand } from '../../src/cli/keys-command.ts'
import { readConfig } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { OPERATOR } from '../../src/audit/record.sql.ts'
import { resealAll } from '../../src/keys/reseal.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { key, keyNames, startKept } from '../helpers/keys.ts'
import { startReplicas } from '../helpers/replica.ts'
import { callTo, type User, signingKey, TestClock } from '../helpers/service.ts'

const USERS = 12

const { url } = await ownDatabase(t)
const dir = t.testdir({
  MFA_ENCRYPTION_KEYS: `k1:${key()}`,
  MFA_PEPPERS: `p1:${key()}`,
  MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey('s1')] })
})
const files = Object.fromEntries(
  ['MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS', 'MFA_SIGNING_KEYS'].flatMap(name => [[name, undefined], [`${name}_FILE`, `${dir}/${name}`]])
)
const { service, keeper } = await startKept(t, { ...files, DATABASE_URL: url, KEEP_SECRETS: 'yes' }, new TestClock(), 0)
await keeper.start(50)
const replicas = await startReplicas(t, service)
const calls = replicas.urls.map(callTo)

const keys = async (...args: string[]): Promise<string> => {
  const lines: string[] = []
  const tell = (line: string): void => { lines.push(line) }
  await keysCommand(args, { env: service.env, say: tell, note: tell })
  return lines.join()
}
const age = (seconds: number): Promise<unknown> =>
  service.db
    .rows`UPDATE keys SET added_at = added_at - ${seconds}::int * interval '1 second',
      absent_at = absent_at - ${seconds}::int * interval '1 second', first_at = first_at - ${seconds}::int * interval '1 second'`
const rowsOfOld = async (): Promise<number> =>
  (await service.db.rows`SELECT 1 FROM factors WHERE key_id = 'k1' UNION ALL SELECT 1 FROM enrollments WHERE key_id = 'k1'`).length
/** Until every replica has what the files hold: the half minute that this may take is only then put behind. */
async function everywhere (): Promise<void> {
  const held = keyNames(new Secrets(readConfig(service.env))).join()
  for (let tries = 1; ; tries++) {
    const known = [keyNames(service.secrets), ...await replicas.keyNames()]
    if (known.every(names => names.join() === held)) return
    if (tries === 500) throw new Error(`The files hold ${held}, and the replicas have ${known.join(' | ')}.`)
    await sleep(20)
  }
}
/** As soon as every replica has the new key, and has said so. */
async function rotate (purpose: string): Promise<string> {
  await everywhere()
  for (let tries = 1; ; tries++) {
    await sleep(100)
    await age(400)
    try { return await keys('rotate', purpose) } catch (error) { if (tries === 30) throw error }
  }
}

t.test('rotation of sealing and signing keys under load, with a crash in the middle, and no failed login', async t => {
  const users: Array<{ user: User, secret: string }> = []
  while (users.length < USERS) {
    const user = service.user({ tenant: 'acme' })
    const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: service.clock.code(secret) })).status, 200)
    users.push({ user, secret })
  }
  const statuses: Record<number, number> = {}
  const running = { isOver: false }

  /** Everyone logs in at one replica and uses the token at the other, again and again; a new user enrolls each time. */
  async function load (): Promise<void> {
    for (let round = 0; !running.isOver; round++) {
      service.clock.advance(30)
      await replicas.syncClocks()
      const newcomer = service.user({ tenant: 'acme' })
      const answers = await Promise.all([
        ...users.map(async ({ user, secret }, index) => {
          const [here, there] = [calls[(index + round) % 2], calls[(index + round + 1) % 2]] as [typeof service.call, typeof service.call]
          const verified = await here('POST', '/mfa/verify', { token: user.token(), body: { code: service.clock.code(secret) } })
          const used = await there('GET', '/mfa/status', { token: verified.body?.token })
          return [verified.status, used.status]
        }),
        (async () => {
          const started = await (calls[round % 2] as typeof service.call)('POST', '/mfa/enroll', { token: newcomer.token() })
          if (started.status !== 201) return [started.status]
          const { factorId, secret } = started.body
          const confirmed = await (calls[(round + 1) % 2] as typeof service.call)('POST', '/mfa/enroll/confirm', {
            token: newcomer.token(),
            body: { factorId, code: service.clock.code(secret) }
          })
          users.push({ user: newcomer, secret })
          return [confirmed.status]
        })()
      ])
      for (const status of answers.flat()) statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  const loaded = load()

  for (const purpose of ['sealing', 'signing']) await keys('add', purpose)
  await rotate('signing')
  // As `rotate sealing` begins; then it is killed.
  const [old, fresh] = readFileSync(`${dir}/MFA_ENCRYPTION_KEYS`, 'utf8').trim().split(',') as [string, string]
  writeFileSync(`${dir}/MFA_ENCRYPTION_KEYS`, `${fresh},${old}`)
  await everywhere()
  let batches = 0
  for await (const { resealed } of resealAll(service.db, service.secrets.sealing, OPERATOR, 2)) {
    t.ok(resealed <= 4)
    if (++batches === 2) break
  }
  t.ok(await rowsOfOld() >= USERS - 8, 'most are of the old key still')
  t.match(await rotate('sealing'), /^\d+ rows were sealed with \d{4}/)
  t.equal(await rowsOfOld(), 0, 'none is left')
  await everywhere()
  await sleep(1000)
  await age(2000)
  await keys('retire', 'sealing', 'k1')
  await everywhere()
  t.same([...service.secrets.sealing.keys.keys()], [fresh.split(':', 1)[0]])
  await sleep(500)
  running.isOver = true
  await loaded

  t.comment(JSON.stringify(statuses))
  t.same(Object.keys(statuses), ['200'], 'every code and every token was good')
  t.ok((statuses[200] as number) > 100)
  t.equal((await service.db.rows`SELECT 1 FROM factors`).length, users.length, 'no user was lost')
  t.same(await service.db.rows`SELECT 1 FROM audit_events WHERE action = 'secret.unreadable'`, [])
})

t.test('a row that changes beside the re-sealing is not put back, and two who re-seal at once do not disturb each other', async t => {
  await keys('add', 'sealing')
  await everywhere()
  const [from, to] = [...service.secrets.sealing.keys.keys()] as [string, string]
  const ring = { primary: to, keys: service.secrets.sealing.keys }
  const user = service.user({ tenant: 'race' })
  const { factorId, token } = await user.enroll()
  await Promise.all([
    ...Array.from({ length: 3 }, async () => {
      for await (const { unreadable } of resealAll(service.db, ring, OPERATOR, 5)) t.same(unreadable, [])
    }),
    user.call('DELETE', `/mfa/factors/${factorId}`, {}, token)
  ])
  t.same(await service.db.rows`SELECT 1 FROM factors WHERE key_id = ${from}`, [])
  t.same(await service.db.rows`SELECT 1 FROM factors WHERE tenant = 'race'`, [], 'what was removed stays removed')
  const [{ rows, events }] = await service.db.rows`SELECT (SELECT count(*)::int FROM factors WHERE key_id = ${to}) AS rows,
    (SELECT sum((details->>'resealed')::int)::int FROM audit_events WHERE action = 'key.rotated' AND details->>'to' = ${to}
      AND tenant = 'acme') AS events` as [
    { rows: number, events: number }
  ]
  t.equal(events, rows, 'each row is told of once')
})
