import { execFile } from 'node:child_process'
import t from 'tap'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { nodeArguments } from '../helpers/program.ts'
import { startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })

const run = (...args: string[]): Promise<{ code: number, stdout: string, stderr: string }> => new Promise(resolve => {
  execFile(process.execPath, nodeArguments('src/cli/audit-verify.ts', ...args), {
    env: { PATH: process.env.PATH, ...service.env, NODE_ENV: 'production', BCRYPT_COST: '10' }
  }, (error, stdout, stderr) => {
    resolve({ code: (error?.code ?? 0) as number, stdout, stderr })
  })
})

t.test('npm run audit:verify has a line for each tenant, and names the first event that is not as it was', async t => {
  const [one, two] = [service.user({ tenant: 'one' }), service.user({ tenant: 'two' })]
  await one.enroll()
  await two.enroll()
  t.same(await run(), { code: 0, stdout: '"one" 2 events: ok\n"two" 2 events: ok\n', stderr: '' })
  for (const { tenant } of [one, two]) await chainTenant(service.db, tenant)
  const [kept] = await service.db.rows<
    { text: string }
  >`SELECT count || ':' || encode(hash, 'hex') AS text FROM audit_heads WHERE tenant = 'two'`
  t.match(await run('--tenant', 'two', '--checkpoint', kept?.text as string), { code: 0, stdout: '"two" 2 events: ok\n' })
  t.match(await run('--tenant', 'two', '--checkpoint', `3:${kept?.text.slice(2) as string}`), {
    code: 1,
    stdout: /^"two" 2 events: broken at \{"position":3,.*"cause":"missing"\}\n$/
  })
  const [gone] = await service.db.rows<
    { id: string }
  >`DELETE FROM audit_events WHERE tenant = 'two' AND action = 'factor.started' RETURNING id::text`
  const { code, stdout } = await run()
  t.equal(code, 1)
  t.match(stdout, /^"one" 2 events: ok\n"two" 1 events: broken at \{"position":1,.*"cause":"missing"\}\n$/)
  t.match(stdout, gone?.id)
})

t.test('and says where events are not chained any more', async t => {
  const { tenant } = service.user({ tenant: 'three' })
  await service.db.rows`SELECT audit(${tenant}, 'someone', 'totp.accepted', 'success', 'totp', '{}', '{}')::text`
  await service.db.rows`UPDATE audit_events SET at = '2026-11-28T12:00:00Z' WHERE tenant = ${tenant}`
  await service.db.rows`UPDATE audit_pending SET at = '2026-11-28T12:00:00Z' WHERE tenant = ${tenant}`
  t.match(await run('--tenant', tenant), {
    code: 1,
    stdout: '"three" 1 events: not chained since 2026-11-28T12:00:00.000000Z: does the service run?\n'
  })
})

t.test('what it does not understand it does not do', async t => {
  for (const args of [['--checkpoint', '1:x'], ['--tenant', 'one', '--checkpoint', '1'], ['--other']]) {
    t.match(await run(...args), { code: 2, stdout: '', stderr: /^(--checkpoint is|Unknown option).*\n\nnpm run audit:verify/ })
  }
})
