// Row 2: the same logins among a thousand, a hundred thousand and a million enrolled users.
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { untilChained } from './lib/chained.ts'
import { fillEnrolled, refill, spread, verifies } from './lib/enrolled.ts'
import { median, percentile, short } from './lib/figures.ts'
import { type Answers, demand } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const CONNECTIONS = 16
/** Everyone can log in once in a time step: so many, then all may again. */
const SLICE = 1000
const SLICES = 6

export const million: Benchmark = {
  name: 'million',
  title: 'Verify among a thousand, a hundred thousand and a million users',
  async run ({ dir, server, load, isShort, say }) {
    const sizes = isShort ? [50, 100, 200] : [1000, 100_000, 1_000_000]
    const slice = isShort ? 50 : SLICE
    const places: Array<
      { size: number, database: Awaited<ReturnType<typeof server.create>>, replica: Awaited<ReturnType<typeof startReplica>> }
    > = []
    for (const size of sizes) {
      const start = performance.now()
      const database = await server.create(`bench_${size}`)
      await fillEnrolled(database, dir, size)
      await database.settle()
      say(`${short(size)} users in ${short((performance.now() - start) / 1000)} s`)
      places.push({ size, database, replica: await startReplica(dir, database.url) })
    }

    const rounds: Array<Array<{ perSecond: number, p50: number, p99: number }>> = []
    for (let round = -1; round < (isShort ? 1 : ROUNDS); round++) {
      const measured = []
      for (const { size, database, replica } of places) {
        const numbers = spread(slice * SLICES, size)
        await refill(database)
        const latencies: number[] = []
        let seconds = 0
        for (let n = 0; n < (isShort ? 1 : SLICES); n++) {
          await database.client.query('UPDATE factors SET counter = 1 WHERE counter > 1')
          const { groups } = await load.run(replica.url, [{
            name: 'login',
            connections: CONNECTIONS,
            ...verifies(numbers.slice(n * slice, (n + 1) * slice))
          }])
          const answers = groups.login as Answers
          demand(answers, 200, `login among ${size}`)
          latencies.push(...answers.latencies)
          seconds += answers.count / answers.perSecond
        }
        await untilChained(database)
        const sorted = Float64Array.from(latencies).sort()
        measured.push({ perSecond: latencies.length / seconds, p50: percentile(sorted, 50), p99: percentile(sorted, 99) })
      }
      if (round < 0) continue // To warm up.
      rounds.push(measured)
      say(
        `round ${round + 1}: ${
          measured.map(({ perSecond, p99 }, index) => `${short(sizes[index] as number)}: ${short(perSecond)}/s, p99 ${short(p99)} ms`).join(
            '; '
          )
        }`
      )
    }
    for (const { replica, database } of places) {
      await replica.stop()
      await database.drop()
    }

    const of = (index: number, name: 'perSecond' | 'p50' | 'p99'): number => median(rounds.map(round => round[index]?.[name] as number))
    const ratio = (name: 'perSecond' | 'p99'): number =>
      median(rounds.map(round => (round[2]?.[name] as number) / (round[0]?.[name] as number)))
    return {
      figures: { verifyMillionOfThousand: ratio('perSecond'), p99MillionOfThousand: ratio('p99') },
      table: [
        ['enrolled users', 'a second', 'p50 / p99 ms'],
        ...sizes.map((
          size,
          index
        ) => [short(size), short(of(index, 'perSecond')), `${short(of(index, 'p50'))} / ${short(of(index, 'p99'))}`])
      ],
      notes: [
        `All of one tenant, each size a database of its own; logins of users who are far from each other in every table, ${SLICES} times ${
          short(slice)
        } in a row.`
      ]
    }
  }
}
