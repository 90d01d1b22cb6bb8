// The database behind TLS, as in production: a server that is not the one it claims to be is not used.
import { chmodSync, chownSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { startEmbedded } from '../../../src/platform/embedded-postgres/embedded.ts'
import { applyMigrations } from '../../../src/platform/db/migrate.ts'
import { makeAuthorities, makeCertificate } from '../../helpers/certificates.ts'
import { startService } from '../../helpers/service.ts'
import { temporaryDir } from '../../helpers/temporary.ts'

const dir = temporaryDir('tls')
const server = await startEmbedded({ dataDir: join(dir, 'postgres'), isPersistent: false, settings: { fsync: 'off' } })
t.teardown(async () => {
  await server.stop()
  rmSync(dir, { recursive: true, force: true })
})
makeAuthorities(dir)

/** Has the server show a certificate for this name; with an authority's name it begins to speak TLS. */
async function certify (name: string, ca: string): Promise<void> {
  makeCertificate(dir, name, ca)
  chmodSync(join(dir, 'server.key'), 0o600)
  const { uid, gid } = statSync(join(dir, 'postgres', 'pgdata'))
  if (process.getuid?.() === 0) { for (const file of ['server.key', 'server.pem']) chownSync(join(dir, file), uid, gid) }
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  for (
    const setting of [`ssl_cert_file = '${join(dir, 'server.pem')}'`, `ssl_key_file = '${join(dir, 'server.key')}'`, 'ssl = on']
  ) { await client.query(`ALTER SYSTEM SET ${setting}`) }
  await client.query('SELECT pg_reload_conf()')
  await client.end()
  await sleep(200)
}

const urlWith = (ca: string): string => `${server.url}?sslmode=verify-full&sslrootcert=${join(dir, `${ca}.pem`)}`
const ready = async (url: string): Promise<number> =>
  (await (await startService(t, { DATABASE_URL: url })).call('GET', '/health/ready')).status

t.test('a server without TLS, of another CA or for another name makes no replica ready; the right one serves, encrypted', async t => {
  await applyMigrations(server.url)
  t.equal(await ready(urlWith('ours')), 503, 'it speaks no TLS')
  await certify('IP:127.0.0.1', 'ours')
  t.equal(await ready(urlWith('other')), 503, 'another CA')
  t.equal(await ready(`${server.url}?sslmode=verify-full`), 503, 'a CA that the system does not know')
  t.equal(await ready(`${urlWith('ours')}x`), 503, 'a CA that is not there')
  const service = await startService(t, { DATABASE_URL: urlWith('ours') })
  t.equal((await service.call('GET', '/health/ready')).status, 200)
  t.equal((await service.user().call('POST', '/mfa/enroll')).status, 201)
  t.same(
    await service.db.rows`SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'headless-mfa'`,
    [{ ssl: true }]
  )
  t.same(await applyMigrations(urlWith('ours')), [], 'and so is a migration')
  await t.rejects(applyMigrations(urlWith('other')))
  await certify('DNS:db.example', 'ours')
  t.equal(await ready(urlWith('ours')), 503, 'another name')
})
