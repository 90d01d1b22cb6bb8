// A guess is paid before it can open: however a burst of them is arranged, no more of them can open than are counted.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { settleAccepted, settleRefused } from '../../src/factors/attempts.sql.ts'
import { startReplicas } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'
import { throttleLimits } from '../../src/services.ts'

const BURST = 7
const by = { actor: 'test', address: null, requestId: null }

/** A code that is sent but for its last byte: everything that is asked before the body is done. */
async function hold (url: string, user: User, code: string): Promise<{ finish: () => void, status: Promise<number> }> {
  const { hostname, port, host } = new URL(url)
  const body = JSON.stringify({ code })
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const status = new Promise<number>((resolve, reject) => {
    socket.once('error', reject).once('data', data => {
      resolve(Number(data.toString().split(' ')[1]))
      socket.destroy()
    })
  })
  socket.write(`POST /mfa/verify HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${user.token()}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, -1)}`)
  return { finish: () => { socket.write(body.slice(-1)) }, status }
}

/** After ten failures, each of which waited: the next one closes again. */
const open = ({ service, tenant, sub }: User): Promise<unknown> => service.db.rows`
  UPDATE throttles SET failures = 10, tries = 10, wait_until = NULL, recent = '{}'
  WHERE tenant = ${tenant} AND kind = 'totp' AND user_id = (SELECT id FROM users WHERE tenant = ${tenant} AND subject = ${sub}) RETURNING 1`

const failures = async (user: User): Promise<number> => (await user.throttle('totp')).failures

/** One guess is looked at, and it is paid; one that opens ends the run, so that further ones are looked at. */
const ONE = { answered: 1, paid: 1 }
interface Looked { isOpened: boolean, answered: number, paid: number }

interface Burst { urls: string[], user: User, secret: string, decoy: { user: User, secret: string }, place: number }

/** As many guesses on each replica, the right one at `place`; and wrong codes of the attacker's own account a moment before. */
async function burst ({ urls, user, secret, decoy, place }: Burst): Promise<Looked> {
  const { clock } = user.service
  await open(user)
  await open(decoy.user)
  const guesses = await Promise.all(Array.from({ length: BURST * urls.length }, (_, index) =>
    hold(urls[index % urls.length] as string, user, index === place ? clock.code(secret) : clock.wrongCode(secret))))
  const decoys = await Promise.all([...urls, ...urls].map(url => hold(url, decoy.user, clock.wrongCode(decoy.secret))))
  await sleep(20)
  for (const { finish } of decoys) finish()
  await sleep(1)
  for (const { finish } of guesses) finish()
  const statuses = await Promise.all(guesses.map(({ status }) => status))
  await Promise.all(decoys.map(({ status }) => status))
  if (statuses.includes(200)) return { isOpened: true, ...ONE }
  return { isOpened: false, answered: statuses.filter(status => status === 422).length, paid: await failures(user) - 10 }
}

t.test('a right code that comes behind wrong ones opens nothing when one of them closes, whatever the call that settles them', async t => {
  const service = await useService(t)
  const { clock, db } = service
  const limits = throttleLimits(service.config)
  const user = service.user()
  const { secret, factorId } = await user.enroll()
  const { id: userId, epoch } = await user.row()
  await open(user)
  const { tenant } = user
  const step = Math.floor(clock.seconds / 30)
  const wrong = (): Promise<{ outcome: string }> => settleRefused(db, { tenant, userId, kind: 'totp', weight: 1, limits, near: null, by })
  const right = (): Promise<{ outcome: string }> =>
    settleAccepted(db, { tenant, userId, kind: 'totp', epoch, factorId, counter: step, authentication: null, by })
  const outcomes = await Promise.all([wrong(), right(), wrong(), right()])
  t.same(outcomes.map(({ outcome }) => outcome), ['refused', 'waiting', 'waiting', 'waiting'])
  t.match(await user.throttle('totp'), { failures: 11, tries: 11 })
  await open(user)
  t.same(
    (await Promise.all([right(), wrong()])).map(({ outcome }) => outcome),
    ['accepted', 'refused'],
    'the first of them is looked at, whichever it is'
  )
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 422)
})

t.test('of a burst with a decoy, whose last bytes come at once, the right code behind six wrong ones does not open', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const decoy = { user: service.user({ tenant: user.tenant }), secret: '' }
  decoy.secret = (await decoy.user.enroll()).secret
  let opened = 0
  for (let round = 0; round < 15; round++) {
    service.clock.advance(30)
    const { isOpened, ...looked } = await burst({ urls: [service.url], user, secret, decoy, place: BURST - 1 })
    if (isOpened) opened++
    t.same(looked, ONE)
  }
  // The first that comes is looked at, mostly a wrong one: more than 8 of 15 would be chance once in ten thousand times.
  t.ok(opened <= 8, `${opened} of 15 opened`)
})

t.test('of bursts over three replicas with decoys as many open as one guess each would', async t => {
  const service = await useService(t)
  const { urls, syncClocks } = await startReplicas(t, service, 2)
  const user = service.user()
  const { secret } = await user.enroll()
  const decoy = { user: service.user({ tenant: user.tenant }), secret: '' }
  decoy.secret = (await decoy.user.enroll()).secret
  const [rounds, guesses] = [24, BURST * urls.length]
  let opened = 0
  for (let round = 0; round < rounds; round++) {
    service.clock.advance(30)
    await syncClocks()
    const { isOpened, ...looked } = await burst({ urls, user, secret, decoy, place: (round * 5) % guesses })
    if (isOpened) opened++
    t.same(looked, ONE)
  }
  // 1.1 on average if one in 21 is looked at; more than 7 of 24 come by chance once in twenty thousand times.
  t.ok(opened <= 7, `${opened} of ${rounds} opened`)
})
