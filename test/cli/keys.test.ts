// The administrator's way from an old key to a new one, for each purpose: add, rotate, retire, each when it is safe.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { keysCommand } from '../../src/cli/keys-command.ts'
import { signAll } from '../../src/audit/worker.sql.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { key, startKept, type Kept } from '../helpers/keys.ts'
import { nodeArguments } from '../helpers/program.ts'
import { serviceRole } from '../helpers/role.ts'
import { type Answer, headerOf, type User, signingKey } from '../helpers/service.ts'

const NAMES = {
  MFA_ENCRYPTION_KEYS: () => `k1:${key()}`,
  MFA_PEPPERS: () => `p1:${key()}`,
  MFA_SIGNING_KEYS: () => JSON.stringify({ keys: [signingKey('s1')] })
}

interface Output { out: string[], notes: string[], error: string | undefined }
interface Deployment extends Kept {
  env: Record<string, string | undefined>
  keys: (...args: string[]) => Promise<Output>
  file: (name: keyof typeof NAMES) => string
  age: (seconds: number) => Promise<void>
}

/** A service as it is deployed: its role, its secrets in files, of a database of its own. */
async function deploy (t: Test): Promise<Deployment> {
  const { url } = await ownDatabase(t)
  const role = await serviceRole(t, url)
  const dir = t.testdir(Object.fromEntries(Object.entries(NAMES).map(([name, make]) => [name, `${make()}\n`])))
  const env = Object.fromEntries(Object.keys(NAMES).flatMap(name => [[name, undefined], [`${name}_FILE`, `${dir}/${name}`]]))
  const kept = await startKept(t, { ...env, DATABASE_URL: role.url }, undefined, 0)
  await kept.keeper.check()
  return {
    ...kept,
    env: { ...env, DATABASE_URL: role.url },
    file: name => `${dir}/${name}`,
    keys: (...args) => run(kept.service.env, args),
    /** Lets so much time pass, as the database knows it. */
    age: async seconds => {
      await kept.service.db
        .rows`UPDATE keys SET added_at = added_at - ${seconds}::int * interval '1 second',
          absent_at = absent_at - ${seconds}::int * interval '1 second', first_at = first_at - ${seconds}::int * interval '1 second'`
    }
  }
}

async function run (env: Record<string, string | undefined>, args: string[]): Promise<Output> {
  const output: Output = { out: [], notes: [], error: undefined }
  await keysCommand(args, {
    env,
    say: line => {
      output.out.push(line)
    },
    note: line => {
      output.notes.push(line)
    }
  }).catch((error: unknown) => {
    output.error = (error as Error).message
  })
  return output
}

const idsOf = (path: string): string[] => readFileSync(path, 'utf8').trim().split(',').map(part => part.split(':', 1)[0] as string)
const kidsOf = (path: string): string[] => JSON.parse(readFileSync(path, 'utf8')).keys.map((each: { kid: string }) => each.kid)
const rotations = async (user: User): Promise<unknown[]> =>
  (await user.events()).filter(({ action }) => action === 'key.rotated').map(({ actor, subject, details }) => ({ actor, subject, details }))

t.test('a sealing key: added it only opens, rotated it seals and what was sealed comes to it, and the old one goes when ' +
  'nothing needs it', async t => {
  const { service, keeper, keys, file, age } = await deploy(t)
  const path = file('MFA_ENCRYPTION_KEYS')
  const [alice, bob] = [service.user({ tenant: 'one' }), service.user({ tenant: 'two' })]
  const [{ secret }, ofBob] = [await alice.enroll(), await bob.enroll()]
  for (const { tenant } of [alice, bob]) await chainTenant(service.db, tenant)
  await service.user({ tenant: 'two' }).call('POST', '/mfa/enroll')
  t.match(await keys('status'), {
    out: [
      'MFA_ENCRYPTION_KEYS',
      /^ {2}k1 +seals +2 authenticators, 1 enrollments under way$/,
      '  Next: nothing. To rotate: npm run keys -- add sealing'
    ]
  })

  const added = await keys('add', 'sealing')
  t.match(added, { out: [], notes: [/^\d{4}-\d\d-\d\d-\d{6} was added\. Then: npm run keys -- rotate sealing$/], error: undefined })
  const [first, fresh] = idsOf(path) as [string, string]
  t.equal(first, 'k1', 'the new one is behind the others')
  t.match(await keys('rotate', 'sealing'), {
    error: `${fresh} is not known to any replica yet: give it to all of them, and do this again half a minute later.`
  })
  t.match((await keys('status')).out[3], `a replica must read ${fresh} first`)
  await keeper.check()
  t.match(await keys('rotate', 'sealing'), { error: /^Not every replica or client can have .* yet: do this again in (29|30) seconds\.$/ })
  t.match((await keys('status')).out[3], /Next: rotate sealing, in (29|30) s/)
  t.same(idsOf(path), ['k1', fresh])
  await age(31)
  t.equal((await keys('status')).out[3], '  Next: npm run keys -- rotate sealing')

  const rotated = await keys('rotate', 'sealing')
  t.match(rotated, { notes: [`${fresh} is first.`], out: [`3 rows were sealed with ${fresh}.`], error: undefined })
  t.same(idsOf(path), [fresh, 'k1'])
  t.same(await service.db.rows`SELECT key_id FROM factors UNION SELECT key_id FROM enrollments`, [{ key_id: fresh }])
  await alice.verify(secret)
  await keeper.check()
  await keeper.check()
  await bob.verify(ofBob.secret)
  const started = await bob.call('POST', '/mfa/enroll', {}, await bob.verify(ofBob.secret))
  t.equal(started.status, 201)
  t.same(await service.db.rows`SELECT DISTINCT key_id FROM enrollments`, [{ key_id: fresh }])
  t.same(await rotations(alice), [
    { actor: 'operator', subject: null, details: { purpose: 'sealing', from: 'k1', to: fresh, resealed: 1 } },
    { actor: 'operator', subject: null, details: { purpose: 'sealing', from: 'k1', to: fresh } }
  ])
  t.match(await rotations(bob), [{ details: { resealed: 2 } }, { details: { to: fresh } }])
  t.match(
    await keys('rotate', 'sealing'),
    { out: [`0 rows were sealed with ${fresh}.`], error: undefined },
    'again: there is nothing to do'
  )

  t.match(await keys('retire', 'sealing', fresh), { error: `${fresh} is the first key: npm run keys -- add sealing, and rotate.` })
  t.match(await keys('retire', 'sealing', 'k9'), { error: 'MFA_ENCRYPTION_KEYS has no key k9.' })
  t.match(await keys('retire', 'sealing', 'k1'), { error: undefined, notes: ['k1 is gone.'] })
  await keeper.check()
  t.same([...service.secrets.sealing.keys.keys()], [fresh])
  await alice.verify(secret)
})

t.test('what still needs the old key keeps it, also while a replica may be using it', async t => {
  const { service, keeper, keys, file, age } = await deploy(t)
  const alice = service.user()
  await alice.enroll()
  const broken = service.user()
  const { factorId } = await broken.enroll()
  await service.db.rows`UPDATE factors SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE tenant = ${broken.tenant}`
  await keys('add', 'sealing')
  await keeper.check()
  await age(31)
  const [, fresh] = idsOf(file('MFA_ENCRYPTION_KEYS')) as [string, string]
  t.match(await keys('rotate', 'sealing'), {
    out: [`1 rows were sealed with ${fresh}.`],
    error: `These authenticators do not open and stay as they are: ${factorId}. Their owners must be reset.`
  })
  t.match(await keys('retire', 'sealing', 'k1'), {
    error: 'k1 is needed: 1 authenticators. npm run keys -- rotate sealing, to seal the rest with the first key.'
  })
  await service.db.rows`DELETE FROM factors WHERE tenant = ${broken.tenant}`
  await service.db.rows`UPDATE keys SET first_at = now() WHERE id = 'k1'`
  t.match(await keys('retire', 'sealing', 'k1'), { error: /^k1 may be in use still: do this again in (29|30) seconds\.$/ })
  t.match((await keys('status')).out[3], 'nothing yet: k1 may be in use still')
  await age(31)
  t.equal((await keys('status')).out[3], '  Next: npm run keys -- retire sealing k1')
  writeFileSync(file('MFA_ENCRYPTION_KEYS'), `other:${key()}`)
  const status = await keys('status')
  t.match(status.out.slice(1, 4), [
    /^ {2}other +seals +nothing needs it$/,
    new RegExp(`^  ${fresh} +MISSING 1 authenticators$`),
    new RegExp(`Next: put ${fresh} back behind the others: the service does not start without it`)
  ])
})

t.test('a signing key: published, then it signs, then the old one goes when its last token has ended', async t => {
  const { service, keeper, keys, file, age } = await deploy(t)
  const path = file('MFA_SIGNING_KEYS')
  const alice = service.user()
  const { secret, token } = await alice.enroll()
  await chainTenant(service.db, alice.tenant)
  const sign = (): Promise<void> => signAll(service.db, {
    keys: service.secrets.signing,
    retentionDays: 400,
    memory: service.memory,
    onSigned: () => {},
    onUnsigned: (_, error) => { t.fail(String(error)) },
    onBroken: () => { t.fail('the audit is whole') }
  })
  await sign()
  await keys('add', 'signing')
  const [, fresh] = kidsOf(path) as [string, string]
  await keeper.check()
  t.same(
    (await service.call('GET', '/.well-known/jwks.json')).body.keys.map((each: { kid: string }) => each.kid),
    ['s1', fresh],
    'published'
  )
  t.equal(headerOf(await alice.verify(secret)).kid, 's1')
  await age(200)
  t.match(
    await keys('rotate', 'signing'),
    { error: /^Not every replica or client can have .* yet: do this again in (129|130) seconds\.$/ },
    'who keeps our key set has it not yet'
  )
  await age(131)
  t.match(await keys('rotate', 'signing'), { notes: [`${fresh} is first.`], out: [], error: undefined })
  t.equal(headerOf(await alice.verify(secret)).kid, 's1', 'until it is read')
  await keeper.check()
  await keeper.check()
  const newer = await alice.verify(secret)
  t.equal(headerOf(newer).kid, fresh)
  for (const bearer of [token, newer]) t.equal((await service.call('GET', '/mfa/status', { token: bearer })).status, 200)
  t.match(await rotations(alice), [{ actor: 'operator', details: { purpose: 'signing', from: 's1', to: fresh } }])
  t.match(await keys('rotate', 'signing'), { notes: ['There is no newer key that was not in use yet: npm run keys -- add makes one.'] })

  t.match(await keys('retire', 'signing', 's1'), {
    error: 's1 is needed: 1 audit checkpoints. nothing: within a minute the service signs the checkpoints again.'
  })
  await sign()
  t.match(await keys('retire', 'signing', 's1'), { error: /^s1 may be in use still: do this again in \d+ seconds\.$/ })
  await age(1000)
  t.match(await keys('retire', 'signing', 's1'), { notes: ['s1 is gone.'], error: undefined })
  await keeper.check()
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 401)
  t.equal((await service.call('GET', '/mfa/status', { token: newer })).status, 200)
})

t.test('a pepper: new codes take the new one, old codes work, and it says how many users still have them', async t => {
  const { service, keeper, keys, file, age } = await deploy(t)
  const alice = service.user()
  const bob = service.user()
  const [{ secret, recoveryCodes }] = [await alice.enroll(), await bob.enroll()]
  await keys('add', 'pepper')
  await keeper.check()
  await age(31)
  const [, fresh] = idsOf(file('MFA_PEPPERS')) as [string, string]
  t.match(await keys('rotate', 'pepper'), { notes: [`${fresh} is first.`], out: [] })
  await keeper.check()
  await keeper.check()
  t.equal((await alice.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
  t.equal((await alice.call('POST', '/mfa/recovery/codes', {}, await alice.verify(secret))).status, 201)
  const pepper = (await keys('status')).out.slice(3, 7)
  t.match(pepper, [
    'MFA_PEPPERS',
    new RegExp(`^  ${fresh} +hashes +1 users with recovery codes$`),
    /^ {2}p1 +1 users with recovery codes$/,
    /Next: keep the older one: a code can't be hashed again/
  ])
  t.match(await keys('retire', 'pepper', 'p1'), { error: /^p1 is needed: 1 users with recovery codes\. keep the older one/ })
})

t.test('a file keeps its mode and its place, is never half written, and a link to it stays one', async t => {
  const dir = t.testdir({ real: { MFA_PEPPERS: `p1:${key()}\n` } })
  symlinkSync('real/MFA_PEPPERS', `${dir}/link`)
  const env = {
    NODE_ENV: 'production',
    MFA_PEPPERS_FILE: `${dir}/link`,
    MFA_SIGNING_KEYS_FILE: `${dir}/real/signing`,
    MFA_ENCRYPTION_KEYS_FILE: `${dir}/no/such/place`
  }
  const mode = (path: string): number => statSync(path).mode & 0o777
  const before = mode(`${dir}/real/MFA_PEPPERS`)
  t.match(await run(env, ['add', 'pepper']), { error: undefined })
  t.equal(idsOf(`${dir}/real/MFA_PEPPERS`).length, 2)
  t.equal(mode(`${dir}/real/MFA_PEPPERS`), before)
  t.notOk(existsSync(`${dir}/real/MFA_PEPPERS.new`))

  t.match(await run(env, ['add', 'signing']), { notes: [/ was added\.$/], error: undefined }, 'the first of all')
  t.equal(kidsOf(`${dir}/real/signing`).length, 1)
  t.equal(mode(`${dir}/real/signing`), 0o600)
  writeFileSync(`${dir}/real/signing`, JSON.stringify({ keys: [signingKey('ed', 'ed25519')] }))
  await run(env, ['add', 'signing'])
  t.same(
    JSON.parse(readFileSync(`${dir}/real/signing`, 'utf8')).keys.map((each: { crv: string }) => each.crv),
    ['Ed25519', 'Ed25519'],
    'of the kind that signs now'
  )

  writeFileSync(`${dir}/real/signing`, JSON.stringify({ keys: [signingKey('s1')] }))
  writeFileSync(`${dir}/real/signing.new`, '')
  t.match(await run(env, ['add', 'signing']), { error: /signing\.new exists: another command is changing the keys now/ })
  t.match(await run(env, ['add', 'sealing']), { error: /cannot be replaced \(ENOENT\): run this with --print/ })
  t.match(await run(env, ['add', 'sealing', '--print']), {
    out: [/^\d{4}-\d\d-\d\d-\d{6}:[A-Za-z0-9+/]{43}=$/],
    notes: [/is made: give the value above to every replica\.$/]
  })
  writeFileSync(`${dir}/real/MFA_PEPPERS`, 'p1:short')
  t.match(
    await run(env, ['add', 'pepper']),
    { error: /^MFA_PEPPERS has a key of \d bytes where 32 are needed$/ },
    'what is no ring is left alone'
  )
  mkdirSync(`${dir}/folder`)
  t.match(await run({ ...env, MFA_PEPPERS_FILE: `${dir}/folder` }, ['add', 'pepper']), { error: /EISDIR/ })
})

t.test('keys of the environment are printed, whole, and nothing else is on that stream', async t => {
  const { url } = await ownDatabase(t)
  const { service, keeper } = await startKept(t, { DATABASE_URL: url }, undefined, 0)
  await keeper.check()
  await service.user().enroll()
  const added = await run(service.env, ['add', 'sealing'])
  const [value] = added.out.map(line => line.replace('MFA_ENCRYPTION_KEYS=', '')) as [string]
  t.match(value, /^k1:[^,]+,\d{4}-\d\d-\d\d-\d{6}:[^,]+$/)
  const rolled = await startKept(t, { ...service.env, MFA_ENCRYPTION_KEYS: value }, undefined, 0)
  await rolled.keeper.check()
  await service.db.rows`UPDATE keys SET added_at = now() - interval '1 hour'`
  t.match(await run(rolled.service.env, ['rotate', 'sealing']), { error: undefined })
  await keeper.check()
  t.match(
    await run(rolled.service.env, ['rotate', 'sealing']),
    { error: /^Not every replica or client can have/ },
    'the first replica was not restarted yet'
  )
  await keeper.stop()
  await service.db.rows`UPDATE keys SET absent_at = now() - interval '1 hour'`
  const rotated = await run(rolled.service.env, ['rotate', 'sealing'])
  const [second] = rotated.out.map(line => line.replace('MFA_ENCRYPTION_KEYS=', '')) as [string]
  t.same(second.split(',').map(part => part.split(':', 1)[0]).reverse(), value.split(',').map(part => part.split(':', 1)[0]))
  t.match(rotated.notes, [/is first in the value above: give it to every replica\.$/, /^Then do this again/])
  t.same(await service.db.rows`SELECT key_id FROM factors`, [{ key_id: 'k1' }])
  const last = await startKept(t, { ...service.env, MFA_ENCRYPTION_KEYS: second }, undefined, 0)
  await last.keeper.check()
  await service.db.rows`UPDATE keys SET first_at = now() - interval '1 hour' WHERE id = 'k1'`
  t.match(await run(last.service.env, ['rotate', 'sealing']), { out: [/^1 rows were sealed/], error: undefined })
  t.match(await run(last.service.env, ['retire', 'sealing', 'k1']), {
    out: [/^MFA_ENCRYPTION_KEYS=\d{4}/],
    notes: [/^k1 is not in the value above/]
  })
})

t.test('a key that is lost: the service starts again, no one is let in for it, and its users help themselves', async t => {
  const { service, keeper, keys, file, env } = await deploy(t)
  const alice = service.user()
  const { secret, recoveryCodes, factorId } = await alice.enroll()
  await chainTenant(service.db, alice.tenant)
  t.match(await keys('forget', 'sealing', 'k1'), { error: 'MFA_ENCRYPTION_KEYS has k1: it is not lost.' })
  writeFileSync(file('MFA_ENCRYPTION_KEYS'), `k2:${key()}`)
  const restarted = await startKept(t, { ...env, JWT_SECRET: service.env.JWT_SECRET }, service.clock)
  await t.rejects(restarted.keeper.check(), /lacks the key "k1"/)
  t.match(await keys('forget', 'sealing', 'k7'), { error: 'This database knows no key k7 that could be lost.' })
  t.match(await keys('forget', 'sealing', 'k1'), { error: undefined, notes: [/^k1 is lost/] })
  await keeper.stop()
  await restarted.keeper.check()
  t.match(await rotations(alice), [{ actor: 'operator', details: { purpose: 'sealing', lost: 'k1' } }])
  const call = (path: string, body: object, token = alice.token()): Promise<Answer> => restarted.service.call('POST', path, { token, body })
  t.equal((await call('/mfa/verify', { code: service.clock.code(secret) })).status, 503)
  t.equal((await call('/mfa/enroll', {})).status, 401, 'they have a second factor all the same')
  const { token } = (await call('/mfa/recovery', { code: recoveryCodes?.[0] })).body
  const started = (await call('/mfa/enroll', {}, token)).body
  const confirmed = await call('/mfa/enroll/confirm', { factorId: started.factorId, code: service.clock.code(started.secret) }, token)
  t.equal(confirmed.status, 200)
  t.equal((await restarted.service.call('DELETE', `/mfa/factors/${factorId}`, { token: confirmed.body.token, body: {} })).status, 200)
})

t.test('as a command: what it does not understand it does not do', async t => {
  const command = (...args: string[]): Promise<{ code: unknown, stderr: string }> => new Promise(resolve => {
    execFile(
      process.execPath,
      nodeArguments('src/cli/keys.ts', ...args),
      { env: { PATH: process.env.PATH, NODE_ENV: 'production' } },
      (error, _stdout, stderr) => {
        resolve({ code: error?.code ?? 0, stderr })
      }
    )
  })
  t.match(await command('rotate', 'everything'), { code: 2, stderr: /^rotate needs a purpose: .*\n\nnpm run keys -- COMMAND/ })
  for (
    const args of [[], ['status', 'sealing'], ['add'], ['retire', 'sealing'], ['retire', 'sealing', 'k1', 'k2'], ['forget', 'sealing']]
  ) { t.match(await run({}, args), { error: /\n\nnpm run keys -- COMMAND/ }) }
  t.match(await run({}, ['status', '--force']), { error: /^Unknown option '--force'\.\n\nnpm run keys/ })
})
