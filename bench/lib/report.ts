// RESULTS.md, results.json and chart.svg, of one whole run.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Benchmark, Outcome } from './benchmark.ts'
import { chart } from './chart.ts'
import { type FigureName, FIGURES, short } from './figures.ts'
import type { Machine } from './machine.ts'

export interface Run { outcomes: Map<Benchmark, Outcome | Error>, machine: Machine, commit: string, date: Date, seconds: number }

export interface Goal { about: string, unit: '×' | 'ms' | 'MiB', atLeast?: number, atMost?: number }

export const GOALS: Record<FigureName, Goal> = {
  verifyOfPgbench: { about: 'verify, of pgbench doing the same statements', unit: '×', atLeast: 0.5 },
  verifyOfBetterAuth: { about: 'verify, of better-auth 1.7', unit: '×', atLeast: 15 },
  verifyCpuMs: { about: 'CPU of a verify, Node and PostgreSQL', unit: 'ms', atMost: 0.7 },
  verifyMillionOfThousand: { about: 'verify with a million users, of a thousand', unit: '×', atLeast: 0.9 },
  p99MillionOfThousand: { about: 'its p99', unit: '×', atMost: 1.1 },
  authorizeOfBareFastify: { about: 'authorize by an MFA token, of bare Fastify with the same check', unit: '×', atLeast: 0.8 },
  authorizeSessionOfBareFastify: { about: 'authorize by a remembered session', unit: '×', atLeast: 0.5 },
  recoveryOfBcrypt: { about: 'recovery codes, of bcrypt alone on all cores', unit: '×', atLeast: 0.8 },
  verifyP99UnderRecovery: { about: 'p99 of verify while recovery runs flat out, of idle', unit: '×', atMost: 3 },
  confirmBlockMs: { about: 'longest stop of the event loop by confirm\'s ten hashes', unit: 'ms', atMost: 20 },
  othersP99UnderAttack: { about: 'p99 of others under attack, of without', unit: '×', atMost: 2 },
  fourReplicasOfOne: { about: 'four replicas on two cores, of one', unit: '×', atLeast: 0.9 },
  readyMs: { about: 'start to ready', unit: 'ms', atMost: 1000 },
  idleMiB: { about: 'memory, idle', unit: 'MiB', atMost: 130 },
  busyMiB: { about: 'memory after 200 000 requests', unit: 'MiB', atMost: 130 },
  previewMs: { about: 'preview of a policy, a million users', unit: 'ms', atMost: 100 },
  usersPageMs: { about: 'page of users', unit: 'ms', atMost: 100 },
  statsMs: { about: 'stats', unit: 'ms', atMost: 100 },
  auditPageMs: { about: 'page of ten million audit events', unit: 'ms', atMost: 100 },
  citusVerifyOfUpdate: { about: 'verify on Citus, of the bare guarded update', unit: '×', atLeast: 0.7 }
}

const root = new URL('../', import.meta.url)
const write = (name: string, text: string): void => { writeFileSync(fileURLToPath(new URL(name, root)), text) }

export const isReached = (value: number, { atLeast = -Infinity, atMost = Infinity }: Goal): boolean => value >= atLeast && value <= atMost
const goalText = ({ atLeast, atMost, unit }: Goal): string => `${atLeast === undefined ? '≤' : '≥'} ${atLeast ?? atMost as number} ${unit}`

/** Of a benchmark, in Markdown. */
export function section ({ title }: Benchmark, outcome: Outcome | Error): string {
  if (outcome instanceof Error) return `## ${title}\n\nFailed: ${outcome.message}\n`
  const [heads, ...rows] = outcome.table as [string[], ...string[][]]
  return [`## ${title}`, '', line(heads), line(heads.map(() => '---')), ...rows.map(line), '', ...outcome.notes.flatMap(note => [note, ''])].join('\n')
}

const line = (cells: string[]): string => `| ${cells.join(' | ')} |`

export function writeReport ({ outcomes, machine, commit, date, seconds }: Run): void {
  const figures = Object.fromEntries(FIGURES.map(name => [name, null])) as Record<FigureName, number | null>
  const reasons: Partial<Record<FigureName, string>> = {}
  for (const outcome of outcomes.values()) {
    if (outcome instanceof Error) continue
    for (const [name, value] of Object.entries(outcome.figures)) figures[name as FigureName] = value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(3))
    Object.assign(reasons, outcome.why)
  }
  write('results.json', `${JSON.stringify({ date: date.toISOString(), commit, machine, figures }, null, 2)}\n`)
  write('chart.svg', chart(figures, GOALS))
  const summary = FIGURES.map(name => {
    const goal = GOALS[name]
    const value = figures[name]
    return line([`\`${name}\``, goal.about, value === null ? '–' : `${short(value)} ${goal.unit}`, goalText(goal), value === null ? '–' : isReached(value, goal) ? 'yes' : 'no'])
  })
  const missing = FIGURES.filter(name => figures[name] === null).map(name => `- \`${name}\` was not measured: ${reasons[name] ?? 'its benchmark failed'}.`)
  write('RESULTS.md', [
    '# Results', '',
    `Written by \`npm run bench\` on ${date.toISOString().slice(0, 10)} at ${commit}, in ${Math.round(seconds / 60)} minutes: medians of three interleaved rounds, on one machine that load, service and database share.`, '',
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}, PostgreSQL ${machine.postgres} with durable commits, ${machine.pgbench}; load average before the run ${machine.loadBefore}.`, '',
    '![How much of each goal is reached](chart.svg)', '',
    line(['figure', 'what', 'measured', 'goal', 'reached']), line(['---', '---', '---:', '---:', '---']), ...summary, '',
    ...(missing.length > 0 ? [...missing, ''] : []),
    ...[...outcomes].map(([benchmark, outcome]) => section(benchmark, outcome))
  ].join('\n'))
}
