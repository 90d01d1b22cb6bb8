// Half of what two cores can do, for as long as is asked for: what grows, leaks or falls behind shows. `npm run test:soak -- --minutes 30`.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { audit } from './auditor.ts'
import { startStage } from './stage.ts'

const MINUTES = Number(process.env.SOAK_MINUTES ?? 1)
/** A heap grows until it is first collected as a whole, so the slope of a few minutes says nothing. */
const JUDGED_FROM_MINUTES = 20
const [WORKERS, PAUSE_MS, PEOPLE] = [6, 60, 300]
const EVERY_MS = 5000
const MOST_MIB_AN_HOUR = 2
const MOST_BEHIND_SECONDS = 2
/** A pool keeps up to this many more than it has at one moment. */
const MOST_DESCRIPTORS_MORE = 10

interface Sample { seconds: number, rss: number[], descriptors: number[], connections: number, behind: number, requests: number }

const print = (text: string): void => { process.stderr.write(`${text}\n`) }
const mib = (pid: number): number => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** Per unit of x, by least squares. */
function slope (points: Array<[x: number, y: number]>): number {
  const mean = (of: number[]): number => of.reduce((sum, each) => sum + each, 0) / of.length
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  return mean(points.map(point => (point[0] - x) * (point[1] - y))) / mean(points.map(point => (point[0] - x) ** 2))
}

const median = (of: number[]): number => of.sort((one, other) => one - other)[of.length >> 1] as number

const lineOf = ({ seconds, requests, rss, descriptors, connections, behind }: Sample): string => {
  const ofEach = [rss.map(Math.round).join(' / '), descriptors.join(' / ')]
  return `| ${[Math.round(seconds), requests, ...ofEach, connections, `${behind.toFixed(1)} s`].join(' | ')} |`
}

t.test(`${MINUTES} minutes at half load`, { timeout: (MINUTES * 60 + 300) * 1000 }, async t => {
  const stage = await startStage(t, PEOPLE)
  const { driver, replicas, server } = stage
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  t.teardown(() => client.end())
  const take = async (seconds: number): Promise<Sample> => {
    const { rows: [row] } = await client.query(`SELECT
      (SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) AS connections,
      (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM audit_pending) AS behind`)
    const descriptors = replicas.map(({ pid }) => readdirSync(`/proc/${pid}/fd`).length)
    return { seconds, rss: replicas.map(({ pid }) => mib(pid)), descriptors, requests: driver.asked.length, ...row }
  }

  driver.start(stage.people, WORKERS, PAUSE_MS)
  print('| second | requests | RSS (MiB) | descriptors | connections | chain behind |\n|---|---|---|---|---|---|')
  const samples: Sample[] = []
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  const everyLine = Math.max(1, Math.round(MINUTES * 60_000 / EVERY_MS / 24))
  while (elapsed() < MINUTES * 60) {
    await sleep(EVERY_MS)
    const sample = await take(elapsed())
    samples.push(sample)
    if (samples.length % everyLine === 0) print(lineOf(sample))
  }
  await driver.pause()

  const half = samples.slice(samples.length >> 1)
  const slopes = replicas.map((_, index) => slope(half.map(({ seconds, rss }) => [seconds / 3600, rss[index] as number])))
  const behind = Math.max(...samples.map(({ behind }) => behind))
  const refused = driver.asked.filter(({ status }) => status === 503).length
  const isJudged = MINUTES >= JUDGED_FROM_MINUTES
  const perSecond = Math.round(driver.asked.length / elapsed())
  print(`\n${driver.asked.length} requests, ${perSecond} a second, ${refused} × 503; chain at most ${behind.toFixed(1)} s behind`)
  const judged = isJudged ? '' : ` (not judged: that takes ${JUDGED_FROM_MINUTES} minutes)`
  print(`RSS over the last half: ${slopes.map(each => `${each.toFixed(1)} MiB an hour`).join(', ')}${judged}`)

  if (isJudged) for (const each of slopes) t.ok(each < MOST_MIB_AN_HOUR, `${each.toFixed(1)} MiB an hour`)
  const [early, late] = [samples.slice(0, samples.length >> 2), samples.slice(-(samples.length >> 2))] as [Sample[], Sample[]]
  const grown = (of: (sample: Sample) => number): number => median(late.map(of)) - median(early.map(of))
  for (const [index, { name }] of replicas.entries()) {
    t.ok(grown(({ descriptors }) => descriptors[index] as number) <= MOST_DESCRIPTORS_MORE, `descriptors of ${name} are not leaked`)
  }
  t.ok(grown(({ connections }) => connections) <= MOST_DESCRIPTORS_MORE, 'connections are not leaked')
  t.ok(behind <= MOST_BEHIND_SECONDS, `the chain is ${behind.toFixed(1)} s behind`)
  t.same(driver.asked.filter(({ status }) => status === 0).map(({ code }) => code), [], 'no connection was reset')
  t.same(await audit(stage), [])
})
