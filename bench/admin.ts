// Row 9: what an administrator waits for in a tenant with a million users and ten million audit events, over HTTP.
import { setTimeout as sleep } from 'node:timers/promises'
import { Secret } from 'otpauth'
import { codeAt } from '../src/factors/totp/totp.ts'
import type { Benchmark } from './lib/benchmark.ts'
import { currentStep, TENANT } from './lib/enrolled.ts'
import { type FigureName, median, short } from './lib/figures.ts'
import { firstToken } from './lib/keys.ts'
import { startReplica } from './lib/service.ts'
import { withoutIndexes } from './lib/without-indexes.ts'
import { fillAudit, fillUsers } from './users.ts'

const ROUNDS = 9

type Call = [method: string, path: string, body?: object]

export const admin: Benchmark = {
  name: 'admin',
  title: 'Administration of a million users and ten million audit events',
  async run ({ dir, server, isShort, say }) {
    const [users, events] = isShort ? [2000, 5000] : [1_000_000, 10_000_000]
    const database = await server.create('bench_admin')
    const { client } = database
    // Its keys are known before there are rows that no key opens.
    await (await startReplica(dir, database.url)).stop()
    const began = performance.now()
    await withoutIndexes(client, ['users', 'throttles', 'factors', 'recovery_sets', 'recovery_codes', 'audit_events'], async () => {
      await fillUsers(client, TENANT, users)
      await fillAudit(client, TENANT, events)
    })
    await database.settle()
    say(`${short(users)} users and ${short(events)} events in ${short((performance.now() - began) / 1000)} s`)
    const replica = await startReplica(dir, database.url)
    const call = async (token: string, [method, path, body]: Call): Promise<any> => {
      const response = await fetch(replica.url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) })
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
      return JSON.parse(text)
    }
    const first = firstToken(TENANT, 'administrator', { roles: ['mfa:admin'] })
    const { factorId, secret } = await call(first, ['POST', '/mfa/enroll', {}])
    const { token } = await call(first, ['POST', '/mfa/enroll/confirm', {
      factorId,
      code: codeAt(Secret.fromBase32(secret).bytes, currentStep())
    }])
    await call(token, ['PUT', '/admin/policy', { enforcement: 'required' }])
    const { rows: [some] } = await client.query('SELECT subject, at FROM audit_events WHERE tenant = $1 LIMIT 1', [TENANT])
    // The chaining of the events is not what is measured.
    await sleep(isShort ? 0 : 3000)

    const figures: Partial<Record<FigureName, number>> = {}
    const table = [['what', 'calls of a kind', 'the slowest: its median, ms', 'which']]
    const measure = async (figure: FigureName, what: string, calls: Call[]): Promise<void> => {
      const medians: Array<[number, string]> = []
      for (const each of calls) {
        const times: number[] = []
        for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
          const start = performance.now()
          await call(token, each)
          times.push(performance.now() - start)
        }
        const [, path, body] = each
        medians.push([median(times), body === undefined ? path : JSON.stringify(body)])
      }
      const [slowest] = medians.sort(([a], [b]) => b - a) as [[number, string]]
      figures[figure] = slowest[0]
      table.push([what, String(calls.length), short(slowest[0]), `\`${slowest[1].replace(some.subject, '…')}\``])
      say(`${figure} ${short(slowest[0])} ms (${slowest[1]})`)
    }
    const list = (query: string): Call => ['GET', `/admin/users?${query}`]
    const audit = (query: string): Call => ['GET', `/admin/audit?${query}`]
    await measure(
      'previewMs',
      'preview of a policy',
      [{}, { groups: ['g1', 'h2'] }, { gracePeriodDays: 365 }, { ssoRule: 'none' }, { enforceFrom: '2199-01-01T00:00:00Z' }]
        .map(draft => ['POST', '/admin/policy/preview', { enforcement: 'required', ...draft }]))
    await measure('usersPageMs', 'page of users', [
      list(''),
      list('subject=user-4711'),
      list('account=user-4711@example.com'),
      list('namespace=https://id.test'),
      list('group=all'),
      list('group=g1'),
      list('group=none'),
      ...['enrolled', 'not_enrolled', 'must_enroll', 'in_grace', 'exempt', 'locked', 'disabled'].flatMap(
        status => [list(`status=${status}`), list(`status=${status}&group=g3`)]
      ),
      list('deadlineBefore=2199-01-01T00:00:00Z'),
      list('deadlineBefore=2020-01-01T00:00:00Z'),
      list('status=must_enroll&cursor=7fffffff-ffff-4fff-bfff-ffffffffffff')
    ])
    await measure('statsMs', 'stats', [['GET', '/admin/stats']])
    await measure('auditPageMs', 'page of the audit', [
      audit(''),
      audit(`userId=${some.subject as string}`),
      audit(`actorId=${some.subject as string}`),
      audit('action=totp.accepted'),
      audit('action=totp.refused'),
      audit('action=policy.changed'),
      audit('action=user.erased'),
      audit(`to=${some.at.toISOString() as string}`)
    ])

    await replica.stop()
    await database.drop()
    return {
      figures,
      table,
      notes: [
        `Each call alone, ${ROUNDS} times. test/platform/db/plans.test.ts asks PostgreSQL for the plan of every one: none reads a ` +
        'table from end to end.'
      ]
    }
  }
}
