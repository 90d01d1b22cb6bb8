// What a piece of work costs: CPU time of processes, as Linux counts it.
import { readdirSync, readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100

/** Fields of /proc/<pid>/stat from the third on: what comes before may hold blanks. */
function stat (pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
  } catch {
    return undefined // It has ended meanwhile.
  }
}

const parentOf = (pid: number): number => Number(stat(pid)?.[1])

/** User and system time of a process and of those of its children that have ended, in ms. */
const spent = (pid: number): number =>
  (stat(pid) ?? []).slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 1000 / TICKS_PER_SECOND

/** A server and its processes. */
const family = (pid: number): number[] => [pid, ...readdirSync('/proc').map(Number).filter(each => each > 0 && parentOf(each) === pid)]

const spentBy = (pids: number[]): number => pids.reduce((sum, pid) => sum + spent(pid), 0)

export interface Spent { node: number, postgres: number }

/** Starts counting; the answer tells what the processes have used since, in ms of CPU. */
export function meter (nodes: number[], postmasters: number | number[]): () => Spent {
  const read = (): Spent => ({ node: spentBy(nodes), postgres: spentBy([postmasters].flat().flatMap(family)) })
  const before = read()
  return () => {
    const after = read()
    return { node: after.node - before.node, postgres: after.postgres - before.postgres }
  }
}

const memory = (pid: number, name: string): number =>
  Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** Memory of a process that is in RAM, in MiB. */
export const residentMiB = (pid: number): number => memory(pid, 'VmRSS')
/** The most that ever was. */
export const peakMiB = (pid: number): number => memory(pid, 'VmHWM')
