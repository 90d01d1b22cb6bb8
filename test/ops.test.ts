import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { Metrics } from '../src/http/plugins/metrics.ts'
import { startService } from './helpers/service.ts'

const alerts = parse(readFileSync('ops/alerts.yaml', 'utf8')) as {
  groups: Array<
    { rules: Array<{ alert: string, expr: string, labels: { severity: string }, annotations: { summary: string, action: string } }> }
  >
}
const dashboard = JSON.parse(readFileSync('ops/dashboard.json', 'utf8')) as {
  panels: Array<{ title: string, description: string, targets: Array<{ expr: string }> }>
}
const rules = alerts.groups.flatMap(({ rules }) => rules)

t.test('alerts and dashboard ask for numbers that the service has, by labels that these have', async t => {
  const metrics = new Metrics()
  metrics.collectProcess()
  const service = await startService(t)
  const { text } = await service.call('GET', '/metrics')
  const own = await metrics.registry.metrics()
  const known = new Set([...`${text}${own}`.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
  const expressions = [...rules.map(({ expr }) => expr), ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))]
  t.ok(expressions.length > 25)
  for (const expression of expressions) {
    for (const [, name] of expression.matchAll(/\b((?:mfa|nodejs|process)_\w+)/g)) {
      t.ok(known.has(name) || known.has((name as string).replace(/_(bucket|count|sum)$/, '')), `${name as string} is there`)
    }
  }
})

t.test('each alert says what is wrong, what to do and how much it hurries', async t => {
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, labels, annotations } of rules) {
    t.match(alert, /^Mfa[A-Z]/)
    t.match(labels.severity, /^(page|ticket)$/)
    t.match(annotations.summary, /\.$/)
    t.ok(annotations.action.length > 20)
  }
})
