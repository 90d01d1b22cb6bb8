// The load: a closed loop on keep-alive connections, in a process of its own. Requests are bytes that were made before, and
// of an answer no more is read than its status and where it ends, so that the loop takes little of the machine.
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Group {
  name: string
  /** Another service than that of the load. */
  url?: string
  connections: number
  /** Whole HTTP requests, sent in this order. */
  requests: string[]
  /** Begins again at its end, until the others are done or the time is over. */
  isRepeated?: boolean
  /** So many a second, evenly; otherwise as many as are answered. A late one is counted from when it was due. */
  perSecond?: number
  /** Codes of time steps, the first of `firstStep`: the one of the moment is put where a request has CODE_PLACE. */
  codes?: { firstStep: number, codes: string[] } | undefined
}

const CODE_PLACE = '______'
const STEP_MS = 30_000

export interface Load { host: string, port: number, groups: Group[], seconds: number }

/** `latencies` in ms, in no order. `seconds` is from the first request to the last answer. */
export interface GroupResult { name: string, count: number, seconds: number, statuses: Record<number, number>, latencies: Float64Array }

export interface LoadResult { groups: GroupResult[], seconds: number, cpuMs: number }

class Connection {
  #received: Buffer | undefined
  #answered: ((status: number) => void) | undefined
  #failed: ((error: Error) => void) | undefined
  constructor (readonly socket: Socket) {
    socket.setNoDelay(true)
    socket.on('data', chunk => { this.#read(chunk) })
    socket.on('error', error => this.#failed?.(error))
    socket.on('close', () => this.#failed?.(new Error('the connection was closed')))
  }

  ask (request: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve
      this.#failed = reject
      this.socket.write(request)
    })
  }

  #read (chunk: Buffer): void {
    const received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
    this.#received = received
    const headEnd = received.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = received.toString('latin1', 0, headEnd)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (received.length < headEnd + 4 + length) return
    this.#received = undefined
    this.#answered?.(Number(head.slice(9, 12)))
  }
}

async function runGroup (
  { name, connections, requests, isRepeated = false, perSecond, codes }: Group,
  sockets: Socket[],
  state: { pending: number, endsAt: number }
): Promise<GroupResult> {
  const buffers = requests.map(request => Buffer.from(request, 'latin1'))
  const places = codes === undefined ? [] : buffers.map(buffer => buffer.lastIndexOf(CODE_PLACE))
  const statuses: Record<number, number> = {}
  const latencies: number[] = []
  const start = performance.now()
  let next = 0
  let end = start
  const interval = perSecond === undefined ? 0 : 1000 * connections / perSecond
  const isOver = (): boolean => performance.now() > state.endsAt || (isRepeated ? state.pending === 0 : next >= buffers.length)

  await Promise.all(sockets.map(async (socket, index) => {
    const connection = new Connection(socket)
    for (let due = start + interval * index / connections; ; due += interval) {
      if (perSecond !== undefined && due > performance.now()) await sleep(due - performance.now())
      if (isOver()) return
      const sentAt = perSecond === undefined ? performance.now() : due
      const index = next++ % buffers.length
      const request = buffers[index] as Buffer
      if (codes !== undefined) {
        request.write(codes.codes[Math.floor(Date.now() / STEP_MS) - codes.firstStep] as string, places[index] as number, 'latin1')
      }
      const status = await connection.ask(request)
      end = performance.now()
      latencies.push(end - sentAt)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }))
  if (!isRepeated) state.pending--
  return { name, count: latencies.length, seconds: (end - start) / 1000, statuses, latencies: Float64Array.from(latencies) }
}

async function run ({ host, port, groups, seconds }: Load): Promise<LoadResult> {
  const sockets = await Promise.all(groups.map(({ connections, url }) => Promise.all(Array.from({ length: connections }, async () => {
    const socket = url === undefined ? connect(port, host) : connect(Number(new URL(url).port), new URL(url).hostname)
    await once(socket, 'connect')
    return socket
  }))))
  // Groups that only repeat end with the time.
  const finite = groups.filter(({ isRepeated }) => isRepeated !== true).length
  const state = { pending: finite === 0 ? Infinity : finite, endsAt: performance.now() + seconds * 1000 }
  const cpu = process.cpuUsage()
  const start = performance.now()
  const results = await Promise.all(groups.map((group, index) => runGroup(group, sockets[index] as Socket[], state)))
  const { user, system } = process.cpuUsage(cpu)
  for (const socket of sockets.flat()) socket.destroy()
  return { groups: results, seconds: (performance.now() - start) / 1000, cpuMs: (user + system) / 1000 }
}

process.on('message', (load: Load) => {
  run(load).then(result => process.send?.(result), error => process.send?.({ error: String(error) }))
})
