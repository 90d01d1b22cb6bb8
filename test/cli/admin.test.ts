// Break-glass: an operator with a shell where the service runs helps when no administrator can, by the service's own login.
import { execFile } from 'node:child_process'
import t from 'tap'
import { adminCommand } from '../../src/cli/admin-command.ts'
import { settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { administrator } from '../helpers/administrator.ts'
import { ownDatabase } from '../helpers/database.ts'
import { key } from '../helpers/keys.ts'
import { nodeArguments } from '../helpers/program.ts'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { asOwner, serviceRole } from '../helpers/role.ts'
import { type User, startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)
const service = await startService(t, {
  DATABASE_URL: role.url,
  ENROLL_REQUIRES_CODE: undefined,
  THROTTLE_LOCK: '6',
  THROTTLE_WAITS: '0',
  JWT_SESSION_CLAIM: 'sid',
  ...PASSKEYS
})
const { clock, db } = service
await settleWanted(db)

interface Output { code: number, out: string[], notes: string[] }

async function admin (args: string[], env: Record<string, string> = {}): Promise<Output> {
  const [out, notes]: string[][] = [[], []]
  const code = await adminCommand(args, {
    env: { ...service.env, ...env },
    say: line => {
      out?.push(line)
    },
    note: line => {
      notes?.push(line)
    }
  })
  return { code, out: out as string[], notes: notes as string[] }
}
const WHY = ['--reason', 'Ticket 4711']
const on = ({ tenant, sub }: User): string[] => ['--tenant', tenant, '--user', sub, ...WHY]

/** What the operator did, as the audit and the waiting webhook events have it. */
const byOperator = (tenant: string): Promise<Array<{ action: string, subject: string | null, details: any, isSent: boolean }>> => db.rows`
  SELECT e.action, e.subject, e.details, n.id IS NOT NULL AS "isSent" FROM audit_events e LEFT
    JOIN webhook_events n ON n.tenant = e.tenant AND n.id = e.id
  WHERE e.tenant = ${tenant} AND e.actor = 'operator' ORDER BY e.at, e.id`

t.test('a sole administrator who has lost phone and codes is reset by the operator, signs in, sets up anew and administers', async t => {
  const alice = service.user({ roles: ['mfa:admin'], accounts: ['local'], sid: 's1' })
  const { secret, token } = await alice.enroll()
  await alice.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  const bob = service.user({ tenant: alice.tenant, accounts: ['local'] })
  for (let n = 0; n < 6; n++) await alice.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  t.match(await alice.call('POST', '/mfa/verify', { code: clock.code(secret) }), { status: 403, body: { code: 'factor_locked' } })
  t.equal((await alice.call('GET', '/admin/policy')).status, 401, 'no one else could help alice')

  const { id } = await alice.row()
  t.same(await admin(['reset', ...on(alice)]), {
    code: 0,
    notes: [],
    out: [`${alice.sub} of ${alice.tenant} was reset: 1 authenticators and all codes are gone. At the next login a new one is set up.`]
  })
  t.equal((await alice.call('GET', '/admin/policy', undefined, token)).status, 401, 'the finder of the phone is out')
  t.match((await alice.call('GET', '/mfa/status')).body.decision, { action: 'enroll', reason: 'required_by_policy' })
  const anew = await alice.enroll()
  t.match(await alice.call('GET', '/admin/policy', undefined, anew.token), { status: 200, body: { enforcement: 'required' } })
  t.match((await bob.call('GET', '/mfa/status')).body.decision, { action: 'enroll' })

  t.same(await admin(['policy', 'optional', '--tenant', alice.tenant, ...WHY]), {
    code: 0,
    notes: [],
    out: [`The policy of ${alice.tenant} is optional.`]
  })
  t.match((await bob.call('GET', '/mfa/status')).body.decision, { action: 'allow', reason: 'not_required' })
  t.match((await alice.call('GET', '/admin/policy', undefined, anew.token)).body, { enforcement: 'optional', updatedBy: 'operator' })
  t.same((await admin(['policy', 'optional', '--tenant', alice.tenant, ...WHY])).out, [
    `The policy of ${alice.tenant} already was optional.`
  ])
  t.equal((await admin(['policy', 'required', '--tenant', alice.tenant, ...WHY])).code, 0)
  t.match((await bob.call('GET', '/mfa/status')).body.decision, { action: 'enroll' })

  t.match(await byOperator(alice.tenant), [
    {
      action: 'user.reset',
      subject: id,
      isSent: true,
      details: {
        reason: 'Ticket 4711',
        requireCode: false,
        factors: [{ label: 'Authenticator 1' }],
        cleared: { totp: { failures: 6, lockedAt: /./ } }
      }
    },
    {
      action: 'policy.changed',
      subject: null,
      isSent: true,
      details: { reason: 'Ticket 4711', before: { enforcement: 'required' }, after: { enforcement: 'optional' } }
    },
    { action: 'policy.changed', isSent: true, details: { reason: 'Ticket 4711', after: { enforcement: 'required' } } }
  ])
})

t.test('where only passkeys count and no one can prove one, the operator ends that, and codes count again', async t => {
  const alice = service.user({ roles: ['mfa:admin'], sid: 's1' })
  const { authenticator } = await enrollPasskey(alice)
  const { body: { token } } = await provePasskey(alice, authenticator)
  const { secret } = await alice.enroll(token)
  for (const phishingResistant of ['administrators', 'required']) {
    t.equal((await alice.call('PUT', '/admin/policy', { enforcement: 'required', phishingResistant }, token)).status, 200)
    // The passkey is at the bottom of the sea.
    const code = await alice.verify(secret)
    t.match(await alice.call('PUT', '/admin/policy', { phishingResistant: 'off' }, code), { status: 401, body: { acr: 'phr' } })
    t.match((await alice.call('GET', '/mfa/status', undefined, code)).body.decision, { action: 'verify', acr: 'phr' })
    t.same(await admin(['policy', '--phishing-resistant', 'off', '--tenant', alice.tenant, ...WHY]), {
      code: 0,
      notes: [],
      out: [`The policy of ${alice.tenant} is required, and requires no passkeys.`]
    })
    t.match(await alice.call('GET', '/admin/policy', undefined, code), {
      status: 200,
      body: { phishingResistant: 'off', updatedBy: 'operator' }
    })
  }
  t.same((await admin(['policy', 'optional', '--phishing-resistant', 'off', '--tenant', alice.tenant, ...WHY, '--json'])).code, 0)
  t.match((await byOperator(alice.tenant)).at(-1)?.details, { before: { enforcement: 'required' }, after: { enforcement: 'optional' } })
})

t.test('where everyone needs a code, the operator gives the first administrator theirs, and a day later they administer', async t => {
  const always = await startService(t, { ...service.env, ENROLL_REQUIRES_CODE: 'always' }, clock)
  const first = always.user({ roles: ['mfa:admin'] })
  t.match(await first.call('POST', '/mfa/enroll'), { status: 401, body: { action: 'recovery' } })
  const [shown] = (await admin(['bypass', ...on(first), '--json'])).out as [string]
  const { body: { token } } = await first.call('POST', '/mfa/recovery', { code: JSON.parse(shown).code })
  const { secret } = await first.enroll(token)
  t.match(await first.call('GET', '/admin/policy', undefined, await first.verify(secret)), { status: 403 })
  await db
    .rows`UPDATE factors SET after_recovery_at = (after_recovery_at AT TIME ZONE 'UTC' - interval '24 hours') AT TIME ZONE 'UTC'
      WHERE tenant = ${first.tenant}`
  t.equal((await first.call('GET', '/admin/policy', undefined, await first.verify(secret))).status, 200)
})

t.test('unlock, sign-out, bypass and enable do what their names say, with their reason in the audit and a webhook event', async t => {
  const user = service.user({ sid: 's1' })
  const { secret, token } = await user.enroll()
  const { id } = await user.row()
  for (let n = 0; n < 6; n++) await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  t.same(await admin(['unlock', ...on(user), '--json']), {
    code: 0,
    notes: [],
    out: [JSON.stringify({ outcome: 'unlocked', tenant: user.tenant, userId: id, namespace: 'https://id.test', subject: user.sub })]
  })
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)

  t.equal((await admin(['sign-out', ...on(user)])).code, 0)
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401)
  t.match((await user.call('GET', '/mfa/status')).body.decision, { action: 'verify' }, 'nothing is remembered of the session')

  const [shown] = (await admin(['bypass', ...on(user), '--seconds', '60', '--json'])).out as [string]
  const { code, expiresAt } = JSON.parse(shown)
  const left = new Date(expiresAt).getTime() - Date.now()
  t.ok(left > 30_000 && left <= 60_000)
  t.match(await user.call('POST', '/mfa/recovery', { code }), { status: 200, body: { acr: 'mfa-recovery' } })

  await db.rows`UPDATE users SET disabled_at = ${new Date()}::timestamptz WHERE tenant = ${user.tenant}`
  t.equal((await user.call('GET', '/mfa/factors')).status, 403)
  t.same((await admin(['enable', ...on(user)])).out, [`${user.sub} of ${user.tenant} is let in again.`])
  t.equal((await user.call('GET', '/mfa/factors')).status, 200)
  t.same(await admin(['enable', ...on(user)]), { code: 1, out: [], notes: [`Nothing to do: ${user.sub} is not disabled.`] })

  const [, given] = (await admin(['reset', '--require-code', ...on(user)])).out[0]?.split('\n') as [string, string]
  t.match(given, /^B[0-9A-Z]{3}(-[0-9A-Z]{4}){3} {2}for POST \/mfa\/recovery, once, until \S+Z\. /)
  t.match(
    await user.call('POST', '/mfa/enroll'),
    { status: 401, body: { code: 'step_up_required', action: 'recovery' } },
    'not without the code'
  )
  const { body } = await user.call('POST', '/mfa/recovery', { code: given.slice(0, 19) })
  t.equal((await user.enroll(body.token)).recoveryCodes?.length, 10)

  const events = await byOperator(user.tenant)
  t.same(events.map(({ action }) => action), [
    'user.unlocked',
    'user.signed_out',
    'bypass.issued',
    'user.enabled',
    'user.reset',
    'bypass.issued'
  ])
  t.ok(events.every(({ subject, details, isSent }) => subject === id && details.reason === 'Ticket 4711' && isSent))
})

t.test('what cannot be done is said in one line, is not done, and ends with 1', async t => {
  const user = service.user({ preferred_username: 'Carol@example.com' })
  await user.call('GET', '/mfa/status')
  const before = await db.rows`SELECT * FROM users WHERE tenant = ${user.tenant}`
  const one = async (args: string[], line: RegExp | string, env?: Record<string, string>): Promise<void> => {
    t.match(await admin(args, env), { code: 1, out: [], notes: [line] }, args.join(' '))
  }
  await one(['reset', ...on(user)], `Nothing to do: ${user.sub} has no authenticators and no codes.`)
  await one(['reset', '--user', user.sub, ...WHY], `No user of tenant default has the sub ${user.sub}.`)
  await one(
    ['unlock', '--tenant', user.tenant, '--user', 'carol@example.com', ...WHY],
    `No user of tenant ${user.tenant} has the sub carol@example.com: it is the account of --user ${user.sub}.`
  )
  await one(
    ['unlock', ...on(user), '--namespace', 'elsewhere'],
    `No user of tenant ${user.tenant} and that namespace has the sub ${user.sub}: --namespace https://id.test`
  )
  await one(['policy', 'required', '--tenant', 'typo', ...WHY], 'There are no users of tenant typo.')
  await one(['policy', 'optional', '--tenant', user.tenant, ...WHY], 'The deployment asks more: POLICY_FLOOR.', {
    POLICY_FLOOR: '{"enforcement":"required"}'
  })
  await one(['policy', '--phishing-resistant', 'off', '--tenant', user.tenant, ...WHY], 'The deployment asks more: POLICY_FLOOR.', {
    POLICY_FLOOR: '{"phishingResistant":"administrators"}'
  })
  t.same(await db.rows`SELECT * FROM users WHERE tenant = ${user.tenant}`, before)
  t.same(await byOperator(user.tenant), [])
  t.same(await db.rows`SELECT 1 FROM policies WHERE tenant IN ('typo', ${user.tenant})`, [])

  await db
    .rows`INSERT INTO users (tenant, id, namespace, subject, account)
      VALUES (${user.tenant}, gen_random_uuid(), 'another', ${user.sub}, 'x')`
  t.match(await admin(['unlock', ...on(user)]), {
    code: 2,
    notes: [/^Several users of tenant .* add --namespace, one of another, https:\/\/id\.test \(--help says how\)$/]
  })
  t.equal((await admin(['unlock', ...on(user), '--namespace', 'another'])).code, 0)
})

t.test('a wrong call ends with 2 before anything is opened, and so do a configuration and a database that cannot be used', async t => {
  const [someone, why] = [['--user', 'x'], WHY]
  const calls: Array<[args: string[], line: RegExp]> = [
    [[], /^Which command\?/],
    [['delete', ...someone, ...why], /^There is no command "delete"/],
    [['constructor', ...someone, ...why], /^There is no command/],
    [['reset', ...someone], /^--reason "why" is missing/],
    [['reset', ...someone, '--reason', 'a\nb'], /^--reason is one line/],
    [['reset', ...why], /^--user SUB is missing/],
    [['reset', 'x', ...why], /^What is "x"\?/],
    [['reset', ...someone, ...why, '--seconds', '60'], /^reset has no --seconds/],
    [['unlock', ...someone, ...why, '--require-code'], /^unlock has no --require-code/],
    [['policy', 'required', ...someone, ...why], /^policy has no --user/],
    [['policy', ...why], /^policy is one of optional, report_only, required/],
    [['policy', 'off', ...why], /^policy is one of/],
    [['policy', 'off', '--phishing-resistant', 'off', ...why], /^policy is one of/],
    [['policy', '--phishing-resistant', 'required', ...why], /^--phishing-resistant is off/],
    [['policy', 'required', '--phishing-resistant', '', ...why], /^--phishing-resistant is off/],
    [['reset', ...someone, '--phishing-resistant', 'off', ...why], /^reset has no --phishing-resistant/],
    [['policy', 'required', 'x', ...why], /^policy is one of/],
    ...['59', '901', 'x', ''].map((
      seconds
    ): [string[], RegExp] => [['bypass', ...someone, ...why, '--seconds', seconds], /^--seconds is a number from 60 to 900/])
  ]
  const closed = { DATABASE_URL: 'postgresql://x:secret@127.0.0.1:1/x' }
  for (const [args, line] of calls) {
    t.match(await admin(args, closed), { code: 2, out: [], notes: [new RegExp(`${line.source}.* \\(--help says how\\)$`)] }, args.join(' '))
  }
  t.same(await admin(['unlock', ...someone, ...why], closed), {
    code: 2,
    out: [],
    notes: ['Nothing was done. DATABASE_URL: nothing listens there (ECONNREFUSED). Start PostgreSQL, or correct the host and the port.']
  })
  t.match(await admin(['unlock', ...someone, ...why, '--force'], closed), {
    code: 2,
    out: [],
    notes: [/^Unknown option '--force'\.\n\nnpm run admin -- COMMAND/]
  })
  t.match(await admin(['unlock', ...someone, ...why], { MFA_PEPPERS: 'x' }), { code: 2, out: [], notes: [/^configuration: MFA_PEPPERS /] })
})

t.test('keys that are not the database\'s make no code; to unlock none is needed', async t => {
  const user = service.user()
  await user.enroll()
  const other = { MFA_PEPPERS: `p1:${key()}` }
  t.equal((await admin(['bypass', ...on(user)])).code, 0)
  t.match(await admin(['bypass', ...on(user)], other), {
    code: 2,
    out: [],
    notes: [/^configuration: MFA_PEPPERS has another key under the id "p1"/]
  })
  t.match(await admin(['reset', '--require-code', ...on(user)], other), { code: 2, out: [] })
  t.equal((await admin(['unlock', ...on(user)], other)).code, 0)
  t.same((await byOperator(user.tenant)).map(({ action }) => action), ['bypass.issued', 'user.unlocked'])
})

t.test('what cannot be audited is not done, by an administrator or the operator', async t => {
  const { admin: alice, token, actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  await user.call('POST', '/mfa/enroll')
  const state = (): Promise<unknown[]> => Promise.all([
    db.rows`SELECT * FROM users WHERE tenant = ${user.tenant} ORDER BY id`,
    db.rows`SELECT * FROM enrollments WHERE tenant = ${user.tenant}`,
    db.rows`SELECT * FROM bypasses WHERE tenant = ${user.tenant}`,
    db.rows`SELECT * FROM policies WHERE tenant = ${user.tenant}`,
    db.rows`SELECT * FROM tombstones WHERE tenant = ${user.tenant}`
  ])
  const before = await state()
  await asOwner(url, ['REVOKE INSERT ON audit_events FROM headless_mfa'])
  t.teardown(() => asOwner(url, ['GRANT INSERT ON audit_events TO headless_mfa']))
  for (const what of ['reset', 'unlock', 'bypass', 'sign-out', 'erase']) t.equal((await actOn(id, what)).status, 503, what)
  const puts = {
    [`/admin/users/${id}/exemption`]: { exempt: true, reason: 'x' },
    [`/admin/users/${id}/grace`]: { until: '2199-01-01T00:00:00Z', reason: 'x' },
    '/admin/policy': { enforcement: 'required' },
    '/admin/users': { users: [{ subject: user.sub, disabled: true }] }
  }
  for (const [path, body] of Object.entries(puts)) t.equal((await alice.call('PUT', path, body, token)).status, 503, path)
  for (
    const args of [['reset', ...on(user)], ['unlock', ...on(user)], ['bypass', ...on(user)], ['sign-out', ...on(user)], [
      'policy',
      'required',
      '--tenant',
      user.tenant,
      ...WHY
    ]]
  ) {
    t.match(await admin(args), {
      code: 2,
      out: [],
      notes: [/^Nothing was done\. DATABASE_URL: the role may not do that \(permission denied for table audit_events\)\./]
    }, args.join(' '))
  }
  t.same(await state(), before)
  await asOwner(url, ['GRANT INSERT ON audit_events TO headless_mfa'])
  t.equal((await actOn(id, 'reset')).status, 204)
})

t.test('the process itself: help, and a refusal', async t => {
  const run = (...args: string[]): Promise<unknown> => new Promise(resolve => {
    execFile(
      process.execPath,
      nodeArguments('src/cli/admin.ts', ...args),
      { env: { PATH: process.env.PATH, ...service.env } },
      (error, stdout, stderr) => {
        resolve([error?.code ?? 0, stdout, stderr])
      }
    )
  })
  const user = service.user()
  await user.call('GET', '/mfa/status')
  t.match(await run('--help'), [0, /^npm run admin -- COMMAND .*\n[\s\S]*Exits with 0/, ''])
  t.same(await run('reset', ...on(user)), [1, '', `Nothing to do: ${user.sub} has no authenticators and no codes.\n`])
})
