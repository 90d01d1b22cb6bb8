// Imported users, in a running service: their apps work as before, nothing is brought twice, and no user loses what they have here.
import { readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { Secret } from 'otpauth'
import t from 'tap'
import { readOtpauthCsv } from '../../src/import/otpauth-csv.ts'
import { planImport, type Target } from '../../src/import/plan.ts'
import { importUsers, type Line } from '../../src/import/run.ts'
import { ISSUER, type User, type Service } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { clock } = service

/** A file of one user, or of several, with secrets of their own. */
function fileOf (...users: User[]): { file: string, secrets: string[] } {
  const secrets = users.map(() => new Secret({ size: 20 }).base32)
  return {
    secrets,
    file: [
      'subject,account,otpauth',
      ...users.map(({ sub }, index) => `${sub},${sub}@example.com,otpauth://totp/x?secret=${secrets[index] as string}`)
    ].join('\n')
  }
}

async function run (file: string, tenant: string, options: { isDry?: boolean, on?: Service } = {}): Promise<Line[]> {
  const { isDry = false, on = service } = options
  const target: Target = { source: 'otpauth-csv', tenant, namespace: ISSUER, subject: 'id' }
  const lines: Line[] = []
  for await (
    const line of importUsers(planImport(readOtpauthCsv(file), target).users, {
      db: on.db,
      ring: () => on.secrets.sealing,
      peppers: () => on.secrets.peppers,
      target,
      isDry,
      clock: clock.read
    })
  ) lines.push(line)
  return lines
}
const outcomes = (lines: Line[]): string[] => lines.map(({ outcome }) => outcome)

t.test('an imported user logs in with the app that they have, and is told to make recovery codes', async t => {
  const alice = service.user()
  const { file, secrets: [secret] } = fileOf(alice)
  t.match(await run(file, alice.tenant, { isDry: true }), [{ row: '2', subject: alice.sub, outcome: 'would_import' }])
  t.same(await service.db.rows`SELECT 1 FROM users WHERE tenant = ${alice.tenant}`, [], 'dry: no user is written')
  const [line] = await run(file, alice.tenant)
  t.match(line, { outcome: 'imported', factorId: /^[0-9a-f-]{36}$/ })
  t.equal(
    (await alice.call('POST', '/mfa/verify', { code: clock.code(secret as string) })).status,
    422,
    'a code from before the import is spent'
  )
  t.match((await alice.call('GET', '/mfa/status')).body, {
    enrolled: true,
    account: `${alice.sub}@example.com`,
    recoveryCodes: null,
    decision: { action: 'verify', reason: 'factor_enrolled' }
  })
  t.equal((await alice.call('GET', '/mfa/recovery')).body.code, 'not_enrolled')
  t.equal((await alice.call('POST', '/mfa/recovery', { code: '0000-0000-0000-0000' })).status, 422)
  clock.advance(30)
  const verified = await alice.call('POST', '/mfa/verify', { code: clock.code(secret as string) })
  t.match(verified, { status: 200, body: { factorId: line?.factorId, acr: 'mfa' } })
  const codes = await alice.call('POST', '/mfa/recovery/codes', {}, verified.body.token)
  t.equal(codes.status, 201)
  t.equal((await alice.call('POST', '/mfa/recovery', { code: codes.body.recoveryCodes[0] })).status, 200)
  const [event] = await alice.events()
  t.match(event, {
    actor: 'operator',
    action: 'factor.confirmed',
    outcome: 'success',
    details: { factorId: line?.factorId, label: 'Authenticator 1', importedFrom: 'otpauth-csv' }
  })
  t.equal(event?.subject, (await alice.row()).id)
  t.same(
    await service.db.rows<
      { is_enrolled: boolean, users: number }
    >`SELECT is_enrolled, sum(users)::int AS users FROM current_tallies WHERE tenant = ${alice.tenant} GROUP BY 1 HAVING sum(users) <> 0`,
    [{ is_enrolled: true, users: 1 }],
    'and is counted'
  )
})

t.test('again: who is there already is left alone; a run that was cut off goes on', async t => {
  const tenant = `tenant-${randomUUID()}`
  const users = Array.from({ length: 5 }, () => service.user({ tenant }))
  const { file } = fileOf(...users)
  const cut = `${file.split('\n').slice(0, 3).join('\n')}\n`
  t.same(outcomes(await run(cut, tenant)), ['imported', 'imported'])
  t.same(outcomes(await run(file, tenant)), ['already', 'already', 'imported', 'imported', 'imported'])
  t.same(outcomes(await run(file, tenant)), Array(5).fill('already'))
  t.equal((await service.db.rows`SELECT 1 FROM factors WHERE tenant = ${tenant}`).length, 5)
})

t.test('several authenticators of one user come together, or not at all', async t => {
  const alice = service.user()
  const [one, two] = [fileOf(alice), fileOf(alice)]
  const file = `${one.file}\n${two.file.split('\n')[1] as string}`
  t.same(outcomes(await run(file, alice.tenant)), ['imported', 'imported'])
  t.same((await alice.call('GET', '/mfa/status')).body.factors.map(({ label }: { label: string }) => label), [
    'Authenticator 1',
    'Authenticator 2'
  ])
  t.same(outcomes(await run(one.file, alice.tenant)), ['already'])
})

t.test('one secret twice is one authenticator, whose codes work once; the row that says it again is told so', async t => {
  const alice = service.user()
  const { file, secrets: [secret] } = fileOf(alice)
  const joined = `${file}\n${file.split('\n')[1] as string}`
  t.match(await run(joined, alice.tenant, { isDry: true }), [{ row: '2', outcome: 'would_import' }, { row: '3', outcome: 'already' }])
  const lines = await run(joined, alice.tenant)
  t.match(lines, [{ row: '2', outcome: 'imported' }, { row: '3', outcome: 'already' }])
  t.equal(lines[0]?.factorId, lines[1]?.factorId)
  t.equal((await alice.call('GET', '/mfa/status')).body.factors.length, 1)
  clock.advance(60)
  const code = clock.code(secret as string)
  t.same([(await alice.call('POST', '/mfa/verify', { code })).status, (await alice.call('POST', '/mfa/verify', { code })).status], [
    200,
    422
  ])
  t.same(outcomes(await run(joined, alice.tenant)), ['already', 'already'])
  t.same(outcomes(await run(`${fileOf(alice).file}\n${file.split('\n')[1] as string}`, alice.tenant)), ['enrolled', 'enrolled'])
  const bob = service.user()
  await bob.call('GET', '/mfa/status')
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${bob.tenant}`
  const again = fileOf(bob).file
  t.same(outcomes(await run(`${again}\n${again.split('\n')[1] as string}`, bob.tenant)), ['disabled', 'disabled'])
})

t.test('who has an authenticator here keeps it; what was removed here does not come back; a disabled user stays out', async t => {
  const alice = service.user()
  const { secret } = await alice.enroll()
  const { file } = fileOf(alice)
  t.same(outcomes(await run(file, alice.tenant)), ['enrolled'])
  t.equal((await alice.call('GET', '/mfa/status')).body.factors.length, 1)
  await alice.verify(secret)

  const bob = service.user()
  const ofBob = fileOf(bob)
  const [line] = await run(ofBob.file, bob.tenant)
  clock.advance(30)
  const { body: { token } } = await bob.call('POST', '/mfa/verify', { code: clock.code(ofBob.secrets[0] as string) })
  t.equal((await bob.call('DELETE', `/mfa/factors/${line?.factorId as string}`, {}, token)).status, 204)
  for (const isDry of [true, false]) t.same(outcomes(await run(ofBob.file, bob.tenant, { isDry })), ['removed'])

  const carol = service.user()
  await carol.call('GET', '/mfa/status')
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${carol.tenant}`
  t.same(outcomes(await run(fileOf(carol).file, carol.tenant)), ['disabled'])
})

t.test('beside what happens meanwhile the statement decides, whatever was read before', async t => {
  const [alice, bob, carol, dave] = [service.user(), service.user(), service.user(), service.user()]
  /** The import reads, then something happens, and then it writes. */
  const overtaken = async (user: User, meanwhile: () => Promise<unknown>, file = fileOf(user).file): Promise<Line[]> => {
    let isDone = false
    const { settle } = service.db
    const late: typeof settle = async (name, call) => {
      if (!isDone && name === 'import_user') {
        isDone = true
        await meanwhile()
      }
      return await settle(name, call)
    }
    return await run(file, user.tenant, { on: { ...service, db: { ...service.db, settle: late } } })
  }
  t.same(outcomes(await overtaken(alice, () => alice.call('GET', '/mfa/status'))), ['imported'], 'first seen: sealed anew for this user')
  t.same(outcomes(await overtaken(bob, () => bob.enroll())), ['enrolled'])
  t.equal((await bob.call('GET', '/mfa/status')).body.factors.length, 1)
  const ofCarol = fileOf(carol)
  t.same(outcomes(await overtaken(carol, () => run(ofCarol.file, carol.tenant), ofCarol.file)), ['already'])
  await dave.call('GET', '/mfa/status')
  t.same(outcomes(await overtaken(dave, () => service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${dave.tenant}`)), [
    'disabled'
  ])
  await service.db.rows`UPDATE users SET disabled_at = NULL WHERE tenant = ${dave.tenant}`
  const ofDave = fileOf(dave)
  const remove = async (): Promise<void> => {
    await run(ofDave.file, dave.tenant)
    await service.db.rows`DELETE FROM factors WHERE tenant = ${dave.tenant}`
  }
  t.same(outcomes(await overtaken(dave, remove, ofDave.file)), ['removed'])
})

t.test('the real files, each whole', async t => {
  const tenant = `tenant-${randomUUID()}`
  const file = readFileSync(new URL('../fixtures/import/otpauth.csv', import.meta.url), 'utf8')
  t.same(outcomes(await run(file, tenant)), ['imported', 'imported', 'imported'], 'u-1 has two')
})
