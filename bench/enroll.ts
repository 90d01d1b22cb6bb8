// Row 5: what setting up an authenticator costs, whether its hashes stop the others, and whether those of others hold it up.
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Secret } from 'otpauth'
import { codeAt } from '../src/factors/totp/totp.ts'
import { type Benchmark, ROUNDS } from './lib/benchmark.ts'
import { meter } from './lib/cpu.ts'
import { currentStep, TENANT, wrongRecoveryCode } from './lib/enrolled.ts'
import { median, short } from './lib/figures.ts'
import { firstToken } from './lib/keys.ts'
import { type Answers, demand, request } from './lib/load.ts'
import { startReplica } from './lib/service.ts'

export const enroll: Benchmark = {
  name: 'enroll',
  title: 'Enroll and confirm',
  async run ({ dir, server, load, isShort, say }) {
    const database = await server.create('bench_enroll')
    // It says how long its event loop was not looked at.
    const lagFile = `${dir}/lag`
    const replica = await startReplica(dir, database.url, { LAG_FILE: lagFile, TRUSTED_PROXIES: '127.0.0.1/32' }, [
      '--import',
      new URL('lib/lag.mjs', import.meta.url).href
    ])
    let users = 0
    const starts = (count: number): string[] =>
      Array.from(
        { length: count },
        () => request({ method: 'POST', path: '/mfa/enroll', token: firstToken(TENANT, `new-${users++}`), body: {} })
      )
    await load.run(replica.url, [{ name: 'start', connections: 4, requests: starts(isShort ? 20 : 400) }])

    const rounds: Array<Record<'start' | 'confirm' | 'attacked' | 'block' | 'idle', number>> = []
    for (let round = 0; round < (isShort ? 1 : ROUNDS); round++) {
      const count = isShort ? 20 : 300
      const stop = meter([replica.pid], server.pid)
      const { groups } = await load.run(replica.url, [{ name: 'start', connections: 1, requests: starts(count) }])
      demand(groups.start as Answers, 201, 'enroll')
      const start = stop().node / count
      await restartLag(replica.pid, lagFile)
      await sleep(isShort ? 300 : 2000)
      const idle = await restartLag(replica.pid, lagFile)
      const times: number[] = []
      for (let n = 0; n < (isShort ? 2 : 15); n++) times.push((await confirm(replica.url, `confirmed-${round}-${n}`)).ms)
      const block = await restartLag(replica.pid, lagFile)
      const attackers: Array<{ subject: string, token: string }> = []
      for (let n = 0; n < (isShort ? 1 : ATTACKERS); n++) {
        attackers.push({ subject: `attacker-${round}-${n}`, ...await confirm(replica.url, `attacker-${round}-${n}`) })
      }
      const underAttack: number[] = []
      const seconds = isShort ? 1 : 8
      const end = performance.now() + seconds * 1000
      const attack = load.run(replica.url, [{
        name: 'attack',
        connections: 12,
        requests: attackers.flatMap(attackOf),
        isRepeated: true,
        perSecond: 30
      }], seconds)
      while (performance.now() < end) underAttack.push((await confirm(replica.url, `beside-${round}-${underAttack.length}`)).ms)
      await attack
      rounds.push({ start, confirm: median(times), attacked: median(underAttack) / median(times), block, idle })
      say(
        `round ${round + 1}: enroll ${short(start)} ms of CPU, confirm ${short(median(times))} ms, under attack ${
          short(median(underAttack))
        } ms, event loop stopped for at most ${short(block)} ms, idle ${short(idle)} ms`
      )
    }
    await replica.stop()
    await database.drop()

    const of = (name: keyof typeof rounds[0]): number => median(rounds.map(round => round[name]))
    return {
      figures: { confirmBlockMs: of('block'), confirmUnderAttack: of('attacked') },
      table: [
        ['what', 'ms'],
        ['`POST /mfa/enroll` with secret, URI and QR code, CPU of Node', short(of('start'))],
        ['`POST /mfa/enroll/confirm` with ten bcrypt hashes, until it is answered', short(of('confirm'))],
        [
          `how many times as long that takes while ${ATTACKERS} others renew their recovery codes and try wrong ones, 30 calls a ` +
          'second from three addresses',
          short(of('attacked'))
        ],
        ['longest time that the event loop stood still meanwhile', short(of('block'))],
        ['the same without requests', short(of('idle'))]
      ],
      notes: ['The goal of the first is under 10 ms. The hashes run two at a time in threads of their own.']
    }
  }
}

const ATTACKERS = 6

/** A renewal of the recovery codes and nine wrong ones, as an enrolled user may send them. */
const attackOf = ({ subject, token }: { subject: string, token: string }, index: number): string[] => {
  const headers = { 'x-forwarded-for': `203.0.113.${index % 3}` }
  const wrong = (): string =>
    request({ method: 'POST', path: '/mfa/recovery', token: firstToken(TENANT, subject), body: { code: wrongRecoveryCode() }, headers })
  return [request({ method: 'POST', path: '/mfa/recovery/codes', token, body: {}, headers }), ...Array.from({ length: 9 }, wrong)]
}

/** Sets up an authenticator; answers how many ms its confirmation took. */
async function confirm (url: string, subject: string): Promise<{ ms: number, token: string }> {
  const call = async (path: string, body: object): Promise<Record<string, string>> => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${firstToken(TENANT, subject)}`, 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return await response.json() as Record<string, string>
  }
  const { factorId, secret } = await call('/mfa/enroll', {})
  const start = performance.now()
  const { token } = await call('/mfa/enroll/confirm', { factorId, code: codeAt(Secret.fromBase32(secret as string).bytes, currentStep()) })
  return { ms: performance.now() - start, token: token as string }
}

/** For how many ms the event loop stood still at most since the last time. */
async function restartLag (pid: number, file: string): Promise<number> {
  rmSync(file, { force: true })
  process.kill(pid, 'SIGWINCH')
  for (;;) {
    await sleep(10)
    try {
      const text = readFileSync(file, 'utf8')
      if (text !== '') return Number(text)
    } catch {} // Not yet.
  }
}
