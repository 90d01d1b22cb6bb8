// Everything that works by itself, killed at each of its statements, and cut off from the database there: the statement is done, and its
// answer lost. The statements are those of a run that nothing disturbs. Afterwards another one goes on, or the same: nothing that was
// owed is lost, nothing is done twice, and nothing stands still for more than ten seconds. Here it is each statement that writes, in one
// of the two ways; `npm run test:faults` takes them all in both, and repetitions.
import { type ChildProcess, fork } from 'node:child_process'
import { isDeepStrictEqual } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readConfig } from '../../../src/config/config.ts'
import { UnavailableError } from '../../../src/platform/unavailable.ts'
import { IDENTITY } from '../../../src/platform/db/server.ts'
import { ownDatabase } from '../../helpers/database.ts'
import { program } from '../../helpers/program.ts'
import { type Proxy, startProxy } from '../../helpers/proxy.ts'
import { TestEndpoint } from '../../helpers/webhook-endpoint.ts'
import { testEnvironment } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'
import { type Place, placeAt, type Worker, WORKERS } from '../../helpers/workers.ts'

const isLong = process.env.FAULTS === 'long'
const WAYS = ['killed', 'cut off'] as const
const MOST_REPETITIONS = isLong ? 4 : 1
const AT_A_TIME = 8
/** Besides what it takes on this machine anyway. */
const STANDS_STILL_MS = 10_000
/** Until a worker has come to some statement, on a busy machine. */
const PATIENCE_MS = 60_000
/** Another round at least, in which it would be done a second time. */
const AFTERWARDS_MS = 1500

interface Scope { teardown: (action: () => unknown) => void }

/** What it has begun ends with it. */
async function scoped<T> (work: (scope: Scope) => Promise<T>): Promise<T> {
  const actions: Array<() => unknown> = []
  try {
    return await work({ teardown: action => { actions.unshift(action) } })
  } finally {
    for (const action of actions) await action()
  }
}

const environment = testEnvironment()
const placeIn = (scope: Scope, url: string, endpoint?: TestEndpoint): Place => {
  const place = placeAt(readConfig({ ...environment, ...endpoint?.environment, DATABASE_URL: url }))
  scope.teardown(() => place.db.close())
  return place
}

/** The name of a database with the work to do, to be copied. */
async function prepare (worker: Worker): Promise<string> {
  const { url } = await ownDatabase(t)
  await scoped(async scope => { await worker.give(placeIn(scope, url)) })
  return new URL(url).pathname.slice(1)
}

interface Step { statement: string, nth: number }
type Way = typeof WAYS[number]

const isWriting = (statement: string): boolean => /^ ?(SELECT \(?\w+\(|INSERT|UPDATE|DELETE|DROP|COMMIT)/.test(statement)

interface Run { place: Place, endpoint: TestEndpoint, proxy: Proxy, child: ChildProcess, struck: Promise<void> }

/** A worker in a process of its own, on a copy of the database; `isIt` hears of each statement once that is done. */
async function begin (
  scope: Scope, worker: Worker, template: string, isHurried: boolean, isIt: (statement: string) => boolean
): Promise<Run> {
  const { url } = await ownDatabase(scope, { template })
  const proxy = await startProxy(scope, url)
  const endpoint = await new TestEndpoint().start(scope)
  endpoint.answer = worker.answer ?? endpoint.answer
  // What a connection asks first is no statement of a worker's.
  const struck = proxy.loseAnswerOf(statement => !statement.includes(IDENTITY) && isIt(statement.replace(/\s+/g, ' ')))
  const { file, execArgv } = program('test/helpers/worker-process.ts')
  const env = { PATH: process.env.PATH, ...environment, ...endpoint.environment, DATABASE_URL: proxy.url }
  const child = fork(file, [worker.name, isHurried ? 'hurried' : ''], { execArgv, env })
  scope.teardown(() => child.kill('SIGKILL'))
  return { place: placeIn(scope, url, endpoint), endpoint, proxy, child, struck }
}

/** On a busy machine it may be some time until a look has its turn. */
const look = (worker: Worker, place: Place, endpoint: TestEndpoint): Promise<unknown> => until(async () => {
  try {
    return await worker.look(place, endpoint)
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error
  }
})

interface Waiting { withinMs?: number, since?: number, isOver?: () => boolean }

/** The longest time in which nothing came of it, in milliseconds, until all was done, or it is over. */
async function untilDone (
  worker: Worker, { place, endpoint, child }: Run,
  { withinMs = PATIENCE_MS, since = performance.now(), isOver = () => false }: Waiting = {}
): Promise<number> {
  let [longest, changedAt, before] = [0, since, '']
  while (!isOver()) {
    const there = await look(worker, place, endpoint)
    const [now, text] = [performance.now(), JSON.stringify(there)]
    longest = Math.max(longest, now - changedAt)
    if (isDeepStrictEqual(there, worker.done)) return longest
    if (longest > withinMs) throw new Error(`for ${Math.round(longest)} ms there is ${text}`)
    if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode}`)
    if (text !== before) [changedAt, before] = [now, text]
    await sleep(200)
  }
  return longest
}

interface Plan {
  template: string
  steps: Step[]
  withinMs: number
}

async function plan (worker: Worker): Promise<Plan> {
  const template = await prepare(worker)
  return await scoped(async scope => {
    const counts = new Map<string, number>()
    const run = await begin(scope, worker, template, true, statement => {
      counts.set(statement, (counts.get(statement) ?? 0) + 1)
      return false
    })
    const longest = await untilDone(worker, run)
    const steps = [...counts].filter(([statement]) => isLong || isWriting(statement)).flatMap(([statement, count]) =>
      Array.from({ length: Math.min(count, MOST_REPETITIONS) }, (_, index) => ({ statement, nth: index + 1 })))
    return { template, steps, withinMs: STANDS_STILL_MS + longest }
  })
}

interface Suffering {
  worker: Worker
  plan: Plan
  step: Step
  way: Way
  problem?: string
}

/** For how many milliseconds it stood still. */
async function suffer ({ worker, plan: { template, withinMs }, step: { statement, nth }, way }: Suffering): Promise<number> {
  return await scoped(async scope => {
    let count = 0
    const run = await begin(scope, worker, template, way === 'killed', each => each === statement && ++count === nth)
    const blow: { at?: number } = {}
    void run.struck.then(() => {
      blow.at = performance.now()
      way === 'killed' ? run.child.kill('SIGKILL') : run.proxy.cut()
    })
    await untilDone(worker, run, { isOver: () => blow.at !== undefined })
    if (blow.at === undefined) await sleep(AFTERWARDS_MS)
    // This time it came so far in fewer rounds.
    if (blow.at === undefined && nth > 1) return 0
    if (blow.at === undefined) throw new Error('it never came so far')
    if (way === 'killed') scope.teardown(worker.start(run.place, false))
    const longest = await untilDone(worker, run, { withinMs, since: blow.at })
    await sleep(AFTERWARDS_MS)
    await untilDone(worker, run, { withinMs: 0 })
    return longest
  })
}

const plans = await Promise.all(WORKERS.map(plan))
const sufferings = WORKERS.flatMap((worker, nth) => {
  const plan = plans[nth] as Plan
  return plan.steps.flatMap((step, index): Suffering[] =>
    WAYS.filter((_, each) => isLong || each === index % WAYS.length).map(way => ({ worker, plan, step, way })))
})
let slowest = 0
const next = sufferings.values()
await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
  for (const suffering of next) {
    try {
      slowest = Math.max(slowest, await suffer(suffering))
    } catch (error) {
      suffering.problem = (error as Error).message
    }
  }
}))
for (const worker of WORKERS) {
  await t.test(worker.name, async t => {
    for (const { step: { statement, nth }, way, problem } of sufferings.filter(each => each.worker === worker)) {
      t.equal(problem, undefined, `${way} after ${statement.slice(0, 90)} (${nth})`)
    }
  })
}
t.comment(`${sufferings.length} times, at most ${Math.round(slowest)} ms`)
