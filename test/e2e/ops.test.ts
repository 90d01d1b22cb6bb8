import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

// Debian's Prometheus, which scrapes the service and evaluates what is in ops/.

t.test('the alert rules hold what promtool asks of them, and fire when they should', async t => {
  t.match(execFileSync('promtool', ['check', 'rules', 'ops/alerts.yaml'], { encoding: 'utf8' }), /SUCCESS/)
  t.match(execFileSync('promtool', ['test', 'rules', 'alerts.test.yaml'], { cwd: 'ops', encoding: 'utf8' }), /SUCCESS/)
})

t.test('a real Prometheus scrapes the service, takes the rules and answers each panel of the dashboard', async t => {
  const service = await startService(t)
  const directory = mkdtempSync(join(tmpdir(), 'mfa-prometheus-'))
  const port = await freePort()
  writeFileSync(join(directory, 'prometheus.yaml'), JSON.stringify({
    global: { scrape_interval: '250ms', evaluation_interval: '250ms' },
    rule_files: [resolve('ops/alerts.yaml')],
    scrape_configs: [{ job_name: 'headless-mfa', static_configs: [{ targets: [new URL(service.url).host] }] }]
  }))
  const server = spawn('prometheus', [
    `--config.file=${join(directory, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`
  ], { stdio: 'ignore' })
  t.teardown(async () => {
    server.kill('SIGKILL')
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
    rmSync(directory, { recursive: true })
  })
  const ask = async (path: string): Promise<any> => await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()
  const query = async (expression: string): Promise<any> => await ask(`query?query=${encodeURIComponent(expression)}`)
  const isSo = async (ask: () => Promise<boolean>): Promise<boolean> => await ask().catch(() => false)
  await until(() => isSo(async () => (await query('up{job="headless-mfa"}')).data.result[0]?.value[1] === '1'))
  const user = service.user()
  const { secret } = await user.enroll()
  await user.verify(secret)
  await until(() =>
    isSo(async () => (await query('sum(mfa_codes_total{kind="totp",outcome="accepted"})')).data.result[0]?.value[1] === '1')
  )
  t.equal((await query('sum(mfa_codes_total{kind="totp",outcome="accepted"})')).data.result[0]?.value[1], '1')

  await until(() =>
    isSo(async () => (await ask('rules')).data.groups[0].rules.every(({ health }: { health: string }) => health !== 'unknown'))
  )
  for (const { name, health, state } of (await ask('rules')).data.groups[0].rules) t.same([health, state], ['ok', 'inactive'], name)
  const { panels } = JSON.parse(readFileSync('ops/dashboard.json', 'utf8')) as {
    panels: Array<{ title: string, targets: Array<{ expr: string }> }>
  }
  for (const { title, targets } of panels) {
    for (const { expr } of targets) t.equal((await query(expr.replace(/\$__(rate_interval|range)/g, '5m'))).status, 'success', title)
  }
})

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
