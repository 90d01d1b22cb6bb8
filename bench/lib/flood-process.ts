// A flood: connections that say nothing, connections that are slow to say it, and connections that send far ahead. Each that ends is
// opened again, so that there are always so many, until the process that started this goes.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Flood {
  host: string
  port: number
  idle: number
  slow: number
  /** Connections on which so many requests are always sent ahead. */
  ahead: number
  calls: number
}

const { host, port, idle, slow, ahead, calls } = JSON.parse(process.env.FLOOD as string) as Flood

/** What is sent ahead, on each connection of one kind: what no flood limit counts, what asks the database, and what is not there. */
const PATHS = ['/health/ready', '/metrics', '/mfa/authorize', '/.well-known/jwks.json', '/nothing']
const SLOW_HEAD = 'GET /mfa/status HTTP/1.1\r\nhost: mfa.test\r\nx-slow: '
const SLOW_BODY = 'POST /nothing HTTP/1.1\r\nhost: mfa.test\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n'
const SLOW_MS = 1000
const ANSWER = 'HTTP/1.1 '

process.once('disconnect', () => { process.exit() })

/** One connection after the other, each until it ends. */
async function keep (use: (socket: Socket) => void): Promise<void> {
  const socket = connect(port, host).on('error', () => {})
  const closed = once(socket, 'close')
  await Promise.race([once(socket, 'connect'), closed])
  use(socket)
  void closed.then(() => keep(use))
}

function sendSlowly (socket: Socket, start: string): void {
  socket.resume().write(start)
  const timer = setInterval(() => { socket.write('x') }, SLOW_MS)
  socket.once('close', () => { clearInterval(timer) })
}

/** Half of what is sent ahead is sent anew when half of it is answered. */
function sendAhead (socket: Socket, path: string): void {
  const half = `GET ${path} HTTP/1.1\r\nhost: mfa.test\r\n\r\n`.repeat(calls / 2)
  let answered = 0
  let rest = ''
  socket.setEncoding('latin1').on('data', data => {
    const parts = (rest + String(data)).split(ANSWER)
    answered += parts.length - 1
    rest = (parts.at(-1) as string).slice(1 - ANSWER.length)
    for (; answered >= calls / 2; answered -= calls / 2) socket.write(half)
  })
  socket.write(half + half)
}

const all = <T>(count: number, each: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => each(index))
await Promise.all(all(idle, () => keep(socket => { socket.resume() })))
await Promise.all(all(slow, index => keep(socket => { sendSlowly(socket, index % 2 === 0 ? SLOW_HEAD : SLOW_BODY) })))
await Promise.all(all(ahead, index => keep(socket => { sendAhead(socket, PATHS[index % PATHS.length] as string) })))
process.send?.('open')
