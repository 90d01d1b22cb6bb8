import { execFile } from 'node:child_process'
import t from 'tap'
import { ownDatabase } from '../helpers/database.ts'
import { nodeArguments } from '../helpers/program.ts'
import { asOwner } from '../helpers/role.ts'

const { url } = await ownDatabase(t)

const run = (env: Record<string, string> = {}): Promise<{ code: number, stdout: string, stderr: string }> => new Promise(resolve => {
  execFile(process.execPath, nodeArguments('src/cli/maintain.ts'), {
    env: { PATH: process.env.PATH, DATABASE_OWNER_URL: url, DATABASE_URL: 'postgresql://none@127.0.0.1:1/none', ...env }
  }, (error, stdout, stderr) => {
    resolve({ code: (error?.code ?? 0) as number, stdout, stderr })
  })
})

t.test('npm run maintain, as the owner, says what it made and dropped', async t => {
  await asOwner(url, ["SELECT add_audit_partition('2025-01-15')", "SELECT add_audit_partition(now() - interval '100 days')"])
  t.same(await run(), { code: 0, stdout: 'Partitions made: 0. Dropped: audit_events_2025_01. Counts of users put right: 0.\n', stderr: '' })
  t.match(await run({ AUDIT_RETENTION_DAYS: '30' }), { code: 0, stdout: /Dropped: audit_events_\d{4}_\d\d\. / })
})

t.test('and what stands against it', async t => {
  t.match(await run({ AUDIT_RETENTION_DAYS: '0' }), { code: 1, stdout: '', stderr: /^configuration: AUDIT_RETENTION_DAYS / })
  await asOwner(url, ["INSERT INTO audit_heads (tenant, count, hash) VALUES ('acme', 1, sha256(''))"])
  t.match(await run(), {
    code: 1,
    stdout: 'Partitions made: 0. Dropped: none. Counts of users put right: 0.\n',
    stderr: /^Nothing was dropped: .* for 1 tenants, as "acme"\. /
  })
})
