// RESULTS.md, results.json and chart.svg: of one whole run, or of one with some benchmarks measured again since.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Benchmark, Outcome } from './benchmark.ts'
import { chart } from './chart.ts'
import { type FigureName, FIGURES, short } from './figures.ts'
import type { Machine } from './machine.ts'

/** `all` of them are in the report, in this order; those that did not run as the report has them. */
export interface Run {
  all: readonly Benchmark[]
  outcomes: Map<Benchmark, Outcome | Error>
  machine: Machine
  commit: string
  date: Date
  seconds: number
}

/** results.json: the newest run's facts, and of which run each benchmark's figures are. */
interface Results {
  date: string
  commit: string
  machine: Machine
  runs: Record<string, { date: string, commit: string }>
  figures: Record<FigureName, number | null>
}

export interface Goal {
  about: string
  unit: '×' | 'ms' | 'MiB'
  atLeast?: number
  atMost?: number
  /** What is known of why it is missed, where it is, and what would move it. */
  limit?: string
}

export const GOALS: Record<FigureName, Goal> = {
  verifyOfPgbench: {
    about: 'verify, of pgbench doing the same statements',
    unit: '×',
    atLeast: 0.5,
    limit:
      'pgbench has no HTTP, tokens, codes, log and chain to do, and takes both cores for PostgreSQL; here Node has one of them, and ' +
      "its part of a login is longer than PostgreSQL's. What moves the ratio is Node on cores of its own."
  },
  verifyOfBetterAuth: {
    about: 'verify, of better-auth 1.7',
    unit: '×',
    atLeast: 15,
    limit:
      '15 times is what bare Fastify with two small statements reached where the goal was set (2 109 to 135 a second), without audit, ' +
      'chain, throttle, policy and log. On 16 connections both cores are idle for a part of the time, while commits reach the disk; on ' +
      '64 a replica does more (see the replicas). Beyond that it is less CPU for each login, of which Node has the larger part: see ' +
      'the flame graph.'
  },
  verifyCpuMs: {
    about: 'CPU of a verify, Node and PostgreSQL',
    unit: 'ms',
    atMost: 0.7,
    limit:
      "The pace of this machine changes by half from round to round. Most of PostgreSQL's part is what cannot be shared: the factor's " +
      "row, the audit's with its three indexes, and its entry for the chain. Of Node's part see the flame graph: the largest are the " +
      "answers' way out, the signature of the token and garbage collection."
  },
  verifyMillionOfThousand: { about: 'verify with a million users, of a thousand', unit: '×', atLeast: 0.9 },
  p99MillionOfThousand: { about: 'its p99', unit: '×', atMost: 1.1 },
  authorizeOfBareFastify: { about: 'authorize by an MFA token, of bare Fastify that checks one', unit: '×', atLeast: 0.8 },
  authorizeSessionOfBareFastify: {
    about: 'authorize by a remembered session',
    unit: '×',
    atLeast: 0.5,
    limit: 'Each answer is logged, counted and decided; bare Fastify checks a signature alone.'
  },
  recoveryOfBcrypt: {
    about: 'recovery codes, of bcrypt alone on all cores',
    unit: '×',
    atLeast: 0.8,
    limit: 'Node and PostgreSQL take their part of the same cores.'
  },
  verifyP99UnderRecovery: {
    about: 'p99 of verify while recovery runs flat out, of idle',
    unit: '×',
    atMost: 3,
    limit:
      "bcrypt's two threads give way to Node's others, but on one machine not to PostgreSQL: Linux divides the cores among sessions " +
      "first (sched_autogroup), and each of PostgreSQL's processes is one. A database on a machine of its own would move it, or one " +
      'thread fewer, at the price of the rate of recovery codes.'
  },
  confirmBlockMs: { about: 'longest stop of the event loop by confirm\'s ten hashes', unit: 'ms', atMost: 20 },
  confirmUnderAttack: {
    about: 'a confirmation beside others who renew recovery codes and try wrong ones, of one alone',
    unit: '×',
    atMost: 2
  },
  othersP99UnderAttack: {
    about: 'p99 of others under attack, of without',
    unit: '×',
    atMost: 2,
    limit:
      "An attacker's first 600 requests are served eight at a time, beside the 16 that are measured. A lower flood limit would move it."
  },
  floodMiB: { about: 'memory under 40 000 calls sent ahead, 2 000 idle and 200 slow connections', unit: 'MiB', atMost: 200 },
  authorizeP99UnderFlood: { about: 'p99 of a gateway\'s questions meanwhile', unit: 'ms', atMost: 250 },
  fourReplicasOfOne: {
    about: 'four replicas on two cores, of one',
    unit: '×',
    atLeast: 0.9,
    limit:
      'Logins that come at the same moment to one replica go together: of 16 connections each of four has four, has less to put ' +
      'together, and so makes more calls and commits for each login. On 64 connections four are about as fast as one. ' +
      'More replicas than cores are for safety; on cores of their own was not measured.'
  },
  readyMs: {
    about: 'start to ready',
    unit: 'ms',
    atMost: 1000,
    limit: 'Half of it is V8 that compiles what is loaded. A compile cache made with the image would move it, with Node 22 or newer.'
  },
  idleMiB: { about: 'memory, idle', unit: 'MiB', atMost: 130, limit: 'The code and its compiled schemas.' },
  busyMiB: { about: 'memory after 200 000 requests', unit: 'MiB', atMost: 130 },
  previewMs: {
    about: 'preview of a policy, a million users',
    unit: 'ms',
    atMost: 100,
    limit:
      'A draft for some groups counts the cohorts, and under each those who have a deadline or an exemption of their own: the counting ' +
      'of these is the time, by an index alone. A tally of deadlines by day beside that of kinds would move it.'
  },
  usersPageMs: { about: 'page of users', unit: 'ms', atMost: 100 },
  statsMs: { about: 'stats', unit: 'ms', atMost: 100 },
  auditPageMs: { about: 'page of ten million audit events', unit: 'ms', atMost: 100 },
  citusVerifyOfUpdate: {
    about: 'verify on Citus, of the bare guarded update',
    unit: '×',
    atLeast: 0.7,
    limit:
      "Each call goes to the tenant's worker whole, for up to eight logins at once, and asks there four statements to read all of them " +
      'and five to accept them: two thirds of what both take is Citus that passes them on and plans them, as that section counts. It ' +
      'would keep a plan for each statement, but this version (13.2.2) has a fault by which it makes another one for each use, so that ' +
      'none is kept here: one with the fix (13.5) does a login in half of the time. Coordinator, workers, service and load share two ' +
      'cores.'
  }
}

const root = new URL('../', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8')
const write = (name: string, text: string): void => { writeFileSync(fileURLToPath(new URL(name, root)), text) }

export const isReached = (value: number, { atLeast = -Infinity, atMost = Infinity }: Goal): boolean => value >= atLeast && value <= atMost
const goalText = ({ atLeast, atMost, unit }: Goal): string =>
  `${atLeast === undefined ? '≤' : '≥'} ${atLeast ?? atMost as number} ${unit}`

/** Of a benchmark, in Markdown. */
export function section ({ title }: Benchmark, outcome: Outcome | Error): string {
  if (outcome instanceof Error) return `## ${title}\n\nFailed: ${outcome.message}\n`
  const [heads, ...rows] = outcome.table as [string[], ...string[][]]
  return [`## ${title}`, '', line(heads), line(heads.map(() => '---')), ...rows.map(line), '', ...outcome.notes.flatMap(note => [note, ''])]
    .join('\n')
}

/** As the report has it. */
const sectionBefore = ({ title }: Benchmark): string =>
  `## ${`\n${read('RESULTS.md')}`.split('\n## ').find(text => text.startsWith(`${title}\n`)) ?? `${title}\n\nNot measured.\n`}\n`.replace(
    /\n+$/,
    '\n'
  )

const line = (cells: string[]): string => `| ${cells.join(' | ')} |`

const QUOTE = /(<!-- bench:[^>]*-->\n)[^]*(<!-- \/bench -->)/

/** The README's lines, of the same run. */
function quote (figures: Record<FigureName, number | null>, { cores, cpu }: Machine): string {
  const of = (name: FigureName): string => figures[name] === null ? '–' : short(figures[name])
  return `## How fast it is

| what | measured |
|---|---:|
| CPU time of one second factor, Node and PostgreSQL together | ${of('verifyCpuMs')} ms |
| second factors a second, compared with better-auth 1.7 | ${of('verifyOfBetterAuth')} × |
| the same, compared with pgbench running the same statements | ${of('verifyOfPgbench')} × |
| the same with a million users, compared with a thousand | ${of('verifyMillionOfThousand')} × |
| a gateway's question, compared with bare Fastify that checks the signature each time | ${of('authorizeOfBareFastify')} × |

\`npm run bench\` measured this on ${cores} cores (${cpu}). [bench/RESULTS.md](bench/RESULTS.md) has everything, with the goals that are
not reached.
`
}

export function writeReport ({ all, outcomes, machine, commit, date, seconds }: Run): void {
  const isWhole = outcomes.size === all.length
  const before = isWhole ? undefined : JSON.parse(read('results.json')) as Results
  const figures = { ...Object.fromEntries(FIGURES.map(name => [name, null])), ...before?.figures } as Results['figures']
  const runs = Object.fromEntries(
    all.map(benchmark => [
      benchmark.name,
      outcomes.has(benchmark) || before === undefined
        ? { date: date.toISOString(), commit }
        : before.runs[benchmark.name] ?? { date: before.date, commit: before.commit }
    ])
  )
  const reasons: Partial<Record<FigureName, string>> = {}
  for (const outcome of outcomes.values()) {
    if (outcome instanceof Error) continue
    for (const [name, value] of Object.entries(outcome.figures)) {
      figures[name as FigureName] = value === null || !Number.isFinite(value)
        ? null
        : Number(value.toPrecision(3))
    }
    Object.assign(reasons, outcome.why)
    for (const [name, text] of Object.entries(outcome.files ?? {})) write(name, text)
  }
  const results: Results = { date: date.toISOString(), commit, machine, runs, figures }
  const sections = all.map(benchmark =>
    outcomes.has(benchmark) ? section(benchmark, outcomes.get(benchmark) as Outcome | Error) : sectionBefore(benchmark)
  )
  const older = all.filter(benchmark => !outcomes.has(benchmark)).map(({ name }) =>
    `\`${name}\` (${runs[name]?.date.slice(0, 10) as string} at ${runs[name]?.commit as string})`
  )
  write('results.json', `${JSON.stringify(results, null, 2)}\n`)
  const readme = new URL('../../README.md', import.meta.url)
  writeFileSync(
    readme,
    readFileSync(readme, 'utf8').replace(QUOTE, (_, begin: string, end: string) => `${begin}${quote(figures, machine)}${end}`)
  )
  write('chart.svg', chart(figures, GOALS))
  const summary = FIGURES.map(name => {
    const goal = GOALS[name]
    const value = figures[name]
    return line([
      `\`${name}\``,
      goal.about,
      value === null ? '–' : `${short(value)} ${goal.unit}`,
      goalText(goal),
      value === null ? '–' : isReached(value, goal) ? 'yes' : 'no'
    ])
  })
  const missed = FIGURES.filter(name => figures[name] !== null && !isReached(figures[name], GOALS[name])).map(name =>
    `- \`${name}\`: ${GOALS[name].limit ?? 'not known yet'}`
  )
  const missing = FIGURES.filter(name => figures[name] === null).map(name =>
    `- \`${name}\` was not measured: ${reasons[name] ?? 'its benchmark failed'}.`
  )
  write('RESULTS.md', [
    '# Results', '',
      `Written by \`npm run bench\` on ${date.toISOString().slice(0, 10)} at ${commit}, in ${seconds} seconds: medians of at least ` +
      'three interleaved rounds, on one machine that load, service and database share.',
      ...(older.length > 0 ? [`Of an earlier run are ${older.join(', ')}.`, ''] : []),
      `${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}, PostgreSQL ` +
      `${machine.postgres} with durable commits, ${machine.pgbench}; load average before the run ${machine.loadBefore}.`,
      '![How much of each goal is reached](chart.svg)', '',
      line(['figure', 'what', 'measured', 'goal', 'reached']), line(['---', '---', '---:', '---:', '---']), ...summary, '',
      ...(missed.length > 0 ? ['What is not reached, and what would move it:', '', ...missed, ''] : []),
      ...(missing.length > 0 ? [...missing, ''] : []),
      ...sections
  ].join('\n'))
}
