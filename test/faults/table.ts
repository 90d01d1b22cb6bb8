// A line of the table that a run prints.
import type { Asked } from './driver.ts'

export const HEAD = `| fault | how long | requests | 200 | 4xx | 503 | reset | longest 503 | healed after | verdict |
${'|---'.repeat(10)}|`

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const count = (asked: Asked[], is: (status: number) => boolean): number => asked.filter(({ status }) => is(status)).length

export const longest503 = (asked: Asked[]): number => Math.max(0, ...asked
  .filter(({ status }) => status === 503).map(({ sentAt, answeredAt }) => answeredAt - sentAt))
export const resets = (asked: Asked[]): number => count(asked, status => status === 0)

export function line (name: string, ms: number, asked: Asked[], healedMs: number, verdict: string): string {
  const [good, bad] = [count(asked, status => status >= 200 && status < 300), count(asked, status => status >= 400 && status < 500)]
  return `| ${[name, seconds(ms), asked.length, good, bad, count(asked, status => status === 503),
    resets(asked), seconds(longest503(asked)), seconds(healedMs), verdict].join(' | ')} |`
}
