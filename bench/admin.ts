// npx tsx bench/admin.ts [users] [events]: what an administrator waits for in a tenant with a million users and ten million
// audit events, over HTTP, on an embedded PostgreSQL of its own: medians in milliseconds. It takes ten minutes to fill.
import pg from 'pg'
import { startEmbedded } from '../src/db/embedded.ts'
import { applyMigrations } from '../src/db/migrate.ts'
import { startService } from '../test/helpers/service.ts'
import { temporaryDir } from '../test/helpers/temporary.ts'
import { fillAudit, fillPeople } from './people.ts'

const [users = 1_000_000, events = 10_000_000] = process.argv.slice(2).map(Number)
const ROUNDS = 9

const server = await startEmbedded({ dataDir: temporaryDir('bench'), database: 'bench', isPersistent: false, settings: { fsync: 'off' } })
await applyMigrations(server.url)
const client = new pg.Client({ connectionString: server.url })
await client.connect()
const ends: Array<() => unknown> = []
const service = await startService({ teardown: end => ends.unshift(end) }, { DATABASE_URL: server.url, LOG_LEVEL: 'silent' })
const admin = service.person({ roles: ['mfa:admin'] })
const { token } = await admin.enroll()
await fillPeople(client, admin.tenant, users)
await fillAudit(client, admin.tenant, events)
await client.query('VACUUM ANALYZE')
const { rows: [some] } = await client.query('SELECT subject, at FROM audit_events WHERE tenant = $1 LIMIT 1', [admin.tenant])
await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)

/** The slowest kind of call of each group: its median, and its name. */
async function measure (figure: string, calls: Array<[method: string, path: string, body?: object]>): Promise<void> {
  const medians: Array<[number, string]> = []
  for (const [method, path, body] of calls) {
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now()
      const { status, text } = await admin.call(method, path, body, token)
      if (status !== 200) throw new Error(`${path}: ${text}`)
      times.push(performance.now() - start)
    }
    const median = times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] as number
    medians.push([median, `${path} ${body === undefined ? '' : JSON.stringify(body)}`])
    process.stdout.write(`${median.toFixed(1).padStart(8)} ms  ${method} ${path} ${body === undefined ? '' : JSON.stringify(body)}\n`)
  }
  const [slowest] = medians.sort(([a], [b]) => b - a) as [[number, string]]
  process.stdout.write(`${figure}: ${slowest[0].toFixed(1)} (the slowest: ${slowest[1]})\n\n`)
}

const list = (query: string): [string, string] => ['GET', `/admin/users?${query}`]
const audit = (query: string): [string, string] => ['GET', `/admin/audit?${query}`]
await measure('previewMs', [{}, { groups: ['g1', 'h2'] }, { gracePeriodDays: 365 }, { ssoRule: 'none' }, { enforceFrom: '2199-01-01T00:00:00Z' }]
  .map(draft => ['POST', '/admin/policy/preview', { enforcement: 'required', ...draft }]))
await measure('usersPageMs', [
  list(''), list('subject=user-4711'), list('account=user-4711@example.com'), list('namespace=https://id.test'), list('group=all'), list('group=g1'), list('group=none'),
  ...['enrolled', 'not_enrolled', 'must_enroll', 'in_grace', 'exempt', 'locked', 'disabled'].flatMap(status => [list(`status=${status}`), list(`status=${status}&group=g3`)]),
  list('deadlineBefore=2199-01-01T00:00:00Z'), list('deadlineBefore=2020-01-01T00:00:00Z'), list('status=must_enroll&cursor=7fffffff-ffff-4fff-bfff-ffffffffffff')
])
await measure('statsMs', [['GET', '/admin/stats']])
await measure('auditPageMs', [audit(''), audit(`subject=${some.subject as string}`), audit(`actor=${some.subject as string}`), audit('action=totp.accepted'), audit('action=totp.refused'), audit('action=policy.changed'), audit('action=user.erased'), audit(`to=${some.at.toISOString() as string}`)])

for (const end of ends) await end()
await client.end()
await server.stop()
