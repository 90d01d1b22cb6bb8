// Asks the process that makes the load, and says what came of it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { percentile } from './figures.ts'
import type { Group, GroupResult, LoadResult } from './load-process.ts'

export type { Group }

/** As in load-process.ts, which runs when it is imported. */
export const CODE_PLACE = '______'

/** Times in ms. `p50` and `p99` of one group. */
export interface Answers {
  count: number
  perSecond: number
  p50: number
  p99: number
  statuses: Record<number, number>
  latencies: Float64Array
}

export interface Loaded { groups: Record<string, Answers>, seconds: number, cpuMs: number }

export interface LoadGenerator {
  /** Until each group that does not repeat is done, or for so many seconds. */
  run: (url: string, groups: Group[], seconds?: number) => Promise<Loaded>
  stop: () => void
}

export function startLoad (): LoadGenerator {
  const child = fork(fileURLToPath(new URL('load-process.ts', import.meta.url)), { execArgv: ['--import=tsx'], serialization: 'advanced' })
  return {
    async run (url, groups, seconds = 600) {
      const { hostname, port } = new URL(url)
      child.send({ host: hostname, port: Number(port), groups, seconds })
      const answered = new AbortController()
      const { signal } = answered
      const [result] = await Promise.race([
        once(child, 'message', { signal }),
        once(child, 'exit', { signal }).then(() => [{ error: 'the process ended' }])
      ])
        .finally(() => { answered.abort() }) as [LoadResult | { error: string }]
      if ('error' in result) throw new Error(`load: ${result.error}`)
      return {
        groups: Object.fromEntries(result.groups.map(group => [group.name, answersOf([group])])),
        seconds: result.seconds,
        cpuMs: result.cpuMs
      }
    },
    stop () { child.disconnect() }
  }
}

function answersOf (parts: GroupResult[]): Answers {
  const latencies = Float64Array.from(parts.flatMap(part => [...part.latencies])).sort()
  const statuses: Record<number, number> = {}
  for (const part of parts) {
    for (const [status, count] of Object.entries(part.statuses)) statuses[Number(status)] = (statuses[Number(status)] ?? 0) + count
  }
  const count = latencies.length
  return {
    count,
    perSecond: count / parts.reduce((sum, { seconds }) => sum + seconds, 0),
    p50: percentile(latencies, 50),
    p99: percentile(latencies, 99),
    statuses,
    latencies
  }
}

let isBusyForgiven = false
/** A short run measures nothing: on a machine that has no time for it, a 503 says that nothing was accepted. */
export function forgiveBusy (): void { isBusyForgiven = true }

/** A measurement that was not of what it says is none. */
export function demand ({ statuses, count }: Answers, status: number, what: string): void {
  const good = (statuses[status] ?? 0) + (isBusyForgiven ? statuses[503] ?? 0 : 0)
  if (good !== count || statuses[status] === undefined) {
    throw new Error(`${what}: not all of ${count} answers were ${status}: ${JSON.stringify(statuses)}`)
  }
}

export interface RequestParts {
  method?: string
  path: string
  token?: string | undefined
  body?: unknown
  headers?: Record<string, string>
}

/** As bytes. */
export function request ({ method = 'GET', path, token, body, headers = {} }: RequestParts): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  const lines = [
    `${method} ${path} HTTP/1.1`, 'host: mfa.test',
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(text)}`])
  ]
  return `${lines.join('\r\n')}\r\n\r\n${text}`
}
