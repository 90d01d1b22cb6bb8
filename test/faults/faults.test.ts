// Faults under load, each followed by an audit of what was answered: `npm run test:faults`. It prints a table, and each fault is a test.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { audit } from './auditor.ts'
import { FAULTS } from './faults.ts'
import { startStage } from './stage.ts'
import { HEAD, line, longest503, resets } from './table.ts'

const isShort = process.env.FAULTS !== 'long'
const [SECONDS, ROUNDS, PEOPLE] = isShort ? [3, 1, 60] : [15, 3, 150]
/** Six at a time, who pause: so that two busy cores answer in time where nothing is broken. */
const [WORKERS, PAUSE_MS] = [6, 40]
/** Of the contract: each request is answered within ten seconds. One that a stopped process had in hand waits for that besides. */
const ANSWERED_WITHIN_MS = 10_000
const HEALED_WITHIN_MS = 15_000
/** Of a hundred, where no user should notice anything: the machine may be busy with something else. */
const UNSEEN_PERCENT = 1
const SETTLED_WITHIN_MS = 60_000

const print = (text: string): void => { process.stderr.write(`${text}\n`) }
const stage = await startStage(t, PEOPLE)
const { driver, people, replicas } = stage

/** Milliseconds until each replica says again that it is ready. */
async function untilHealed (): Promise<number> {
  const start = performance.now()
  while (!(await Promise.all(replicas.map(replica => replica.isReady()))).every(Boolean)) {
    if (performance.now() - start > HEALED_WITHIN_MS) return Infinity
    await sleep(50)
  }
  return performance.now() - start
}

print(HEAD)
for (let round = 0; round < ROUNDS; round++) {
  // The last one takes a server away for good.
  for (const { name, begin, end, missing, isUnseen, isFelt } of round === ROUNDS - 1 ? FAULTS : FAULTS.slice(0, -1)) {
    const why = missing?.(stage)
    if (why !== undefined) {
      print(`| ${name} | – | | | | | | | | not done: ${why} |`)
      continue
    }
    await t.test(name, { timeout: 600_000 }, async t => {
      const before = driver.asked.length
      driver.start(people, WORKERS, PAUSE_MS)
      const start = performance.now()
      await begin(stage)
      await sleep(SECONDS * 1000)
      const lasted = performance.now() - start
      await end(stage)
      const healed = await untilHealed()
      const healedAt = Date.now()
      await sleep(1000)
      await driver.pause()
      const asked = driver.asked.slice(before)
      const problems = await audit(stage)
      const after = asked.filter(({ sentAt }) => sentAt > healedAt)
      if (healed > HEALED_WITHIN_MS) problems.push(`not healed within ${HEALED_WITHIN_MS / 1000} s`)
      if (!after.some(({ status }) => status === 200)) problems.push('no call was answered 200 afterwards')
      if (longest503(asked) > ANSWERED_WITHIN_MS + SECONDS * 1000) problems.push(`a 503 took ${longest503(asked)} ms`)
      const refused = asked.filter(({ status }) => status === 503)
      if (isUnseen === true && refused.length > asked.length * UNSEEN_PERCENT / 100) problems.push(`${refused.length} were answered 503`)
      const wasFelt = isFelt === undefined || refused.some(({ code }) => code === isFelt)
      if (!wasFelt) problems.push(`no call was answered ${isFelt}: was there a fault?`)
      if (isUnseen === true && resets(asked) > 0) problems.push('a connection was reset')
      const verdict = problems.length === 0 ? 'holds' : `**${problems.slice(0, 3).join('; ')}** (${problems.length})`
      print(line(name, lasted, asked, healed, verdict))
      t.same(problems, [])
    })
  }
}

t.test('all that happened is chained, and told of, in the end', { timeout: 120_000 }, async t => {
  const client = new pg.Client({ connectionString: stage.server.url })
  await client.connect()
  const waiting = async (): Promise<number> => (await client.query(`
    SELECT (SELECT count(*) FROM audit_pending)::int + (SELECT count(*) FROM webhook_events)::int AS waiting`)).rows[0].waiting
  const start = performance.now()
  while (await waiting() > 0 && performance.now() - start < SETTLED_WITHIN_MS) await sleep(100)
  t.equal(await waiting(), 0)
  await client.end()
  t.same(await audit(stage), [])
  const accepted = driver.asked.filter(({ kind, status }) => kind === 'code' && status === 200).length
  const unknown = driver.asked.filter(({ isUnknown }) => isUnknown).length
  print(`\n${driver.asked.length} requests, ${accepted} codes accepted, ${stage.endpoint.accepted.length} webhook events, ` +
    `${unknown} without an answer that says what became of them`)
})
