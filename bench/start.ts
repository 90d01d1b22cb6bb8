// Row 8: how soon the service is ready, and how much memory it takes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Benchmark } from './lib/benchmark.ts'
import { residentMiB } from './lib/cpu.ts'
import { fillEnrolled, mfaToken, refill, sessionOf, spread, subjectOf, TENANT, verifies } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { firstToken } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

const STARTS = 5

export const start: Benchmark = {
  name: 'start',
  title: 'Start and memory',
  async run ({ dir, server, load, isShort, say }) {
    const database = await server.create('bench_start')
    const users = isShort ? 200 : 10_000
    await fillEnrolled(database, dir, users)
    await database.settle()
    const times: number[] = []
    for (let n = 0; n < (isShort ? 1 : STARTS); n++) {
      const replica = await startReplica(dir, database.url)
      times.push(replica.readyMs)
      await replica.stop()
    }
    say(`ready after ${times.map(short).join(', ')} ms`)

    const replica = await startReplica(dir, database.url)
    await sleep(isShort ? 100 : 5000)
    const idle = residentMiB(replica.pid)
    say(`idle ${short(idle)} MiB`)
    // Of every twenty requests one is a login, the others are a gateway's.
    const total = isShort ? 1000 : 200_000
    const parts = 4
    const asked = Array.from(
      { length: 500 },
      (_, index) => request({ path: '/mfa/status', token: firstToken(TENANT, subjectOf(1 + index % users)) })
    )
    const sizes: number[] = []
    for (let part = 1; part <= parts; part++) {
      await refill(database)
      const logins = total / parts / 20
      const { groups } = await load.run(replica.url, [{ name: 'login', connections: 8, ...verifies(spread(logins, users), sessionOf) }])
      demand(groups.login as Answers, 200, 'login')
      const tokens = await Promise.all(
        spread(isShort ? 2 : 50, users).map(async n => await mfaToken(replica.url, firstToken(TENANT, subjectOf(n), sessionOf(n))))
      )
      const gateway = tokens.map(token => request({ path: '/mfa/authorize', token }))
      const rest = total / parts - logins
      // A tenth of them reads the user.
      const repeated = [asked, ...Array.from({ length: 9 }, () => gateway)].flatMap(requests =>
        Array.from({ length: rest / 10 }, (_, index) => requests[index % requests.length] as string)
      )
      const { groups: others } = await load.run(replica.url, [{ name: 'others', connections: 16, requests: repeated }])
      demand(others.others as Answers, 200, 'authorize')
      sizes.push(residentMiB(replica.pid))
      say(`after ${short(total * part / parts)} requests ${short(sizes.at(-1) as number)} MiB`)
    }
    await replica.stop()
    await database.drop()
    const busy = sizes.at(-1) as number
    return {
      figures: { readyMs: median(times), idleMiB: idle, busyMiB: busy },
      table: [
        ['what', 'measured'],
        [`start to ready with a migrated database, median of ${times.length}`, `${short(median(times))} ms`],
        ['resident set, idle', `${short(idle)} MiB`],
        ...sizes.map((size, index) => [`resident set after ${short(total * (index + 1) / parts)} requests`, `${short(size)} MiB`])
      ],
      notes: ['Of the requests a twentieth is logins, a tenth reads a status, the others are a gateway\'s.']
    }
  }
}
