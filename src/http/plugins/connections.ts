import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { answerClientError } from '../errors.ts'
import { MAX_HEADER_SIZE } from '../head.ts'

/** Times in milliseconds, sizes in bytes. */
const LIMITS = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  // Longer than load balancers keep theirs, a minute by default: who closes must not be asked something in that moment.
  keepAliveTimeout: 75_000,
  maxHeaderSize: MAX_HEADER_SIZE,
  // Node looks for slow clients every half a minute by default.
  connectionsCheckingInterval: 500,
  requireHostHeader: false // Node would answer by itself, without a body
}
const SILENCE_MS = 15_000
const CLOSE_AGAIN_MS = 100

/** Clients that read this header let go of the connection in time, a second early or at the latest after so many of them. */
const BRIEFLY = 'timeout=2'

/**
 * Connections that a listener has at most. Each may have 80 KiB unread (a read of Node's, and what its stream holds before it reads
 * no more), so that together they stay within the memory that deploy/kubernetes gives a replica.
 */
export const MAX_CONNECTIONS = 2500

export interface Listener extends Server {
  /**
   * Is a connection kept after an answer? Where not, the next call finds another replica; `briefly` tells the client for how long.
   */
  keepAlive: (isKept: boolean | 'briefly') => void
  /** How long a connection must have been quiet to be closed when the listener is. Longer than `briefly` promises. */
  lingerMs: number
}

/** Hears of what could not be read, and was answered all the same. */
export type OnRefused = (socket: Socket, status: number) => void

export interface ListenerOptions {
  maxConnections?: number
  onRefused?: OnRefused
}

/** Where a request's head ends, and so the only place where the next one can be cut off from it. */
const HEAD_END = '\r\n\r\n'

/**
 * An HTTP server with bounds for each connection, whatever it asks for: see `Connection`. Where all places are taken, a new
 * connection closes the one that has waited for its client the longest, so that idle and slow ones keep no one out.
 */
export function createListener (
  handle: RequestListener,
  { maxConnections = MAX_CONNECTIONS, onRefused = () => {} }: ListenerOptions = {}
): Listener {
  const connections = new WeakMap<Socket, Connection>()
  /** Those that are open: who was answered last is the last. */
  const open = new Set<Connection>()
  const connectionOf = (socket: Socket): Connection => connections.get(socket) as Connection
  const goOnLater = inTurn()
  let isKept: boolean | 'briefly' = true

  const server = createServer(LIMITS, (request, response) => {
    response.shouldKeepAlive &&= isKept !== false
    if (isKept === 'briefly') response.setHeader('keep-alive', BRIEFLY)
    connectionOf(request.socket).take({ request, response })
  })
  server.setTimeout(SILENCE_MS)
  server.on('timeout', (socket: Socket) => { connectionOf(socket).closeUnlessAtWork() })
  server.maxConnections = maxConnections
  server.on('connection', socket => {
    const onAnswered = (): void => { if (open.delete(connection)) open.add(connection) }
    const connection: Connection = new Connection(socket, { handle, onAnswered, goOnLater, onRefused })
    connections.set(socket, connection)
    open.add(connection)
    socket.once('close', () => { open.delete(connection) })
    if (open.size < maxConnections) return
    for (const each of open) {
      if (each.isAtWork) continue
      open.delete(each)
      each.close()
      break
    }
  })
  server.on('clientError', (error, socket) => { connectionOf(socket as Socket).fail(error) })
  // An unknown expectation may be ignored (RFC 9110 §10.1.1); Node would answer it by itself.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))

  // Node closes at once what looks idle: a client that has just sent something on it, or is about to, gets no answer.
  server.closeIdleConnections = () => {
    keepAlive(false)
    closeQuiet()
  }

  // A connection that the system has made is reset if the listener closes before it was taken up: so that happens right after the loop
  // has taken up what there was.
  const close = server.close.bind(server)
  server.close = onClosed => {
    afterReading(() => { close(onClosed) })
    return server
  }

  function keepAlive (kept: boolean | 'briefly'): void {
    isKept = kept
    for (const each of open) each.keepAlive(kept !== false)
  }

  /** What waits for its client, once the loop has come round and read what there was; and so on until none is left. */
  function closeQuiet (): void {
    afterReading(() => {
      for (const each of open) if (each.isQuiet(listener.lingerMs)) each.close()
      if (open.size > 0) setTimeout(closeQuiet, CLOSE_AGAIN_MS).unref()
    })
  }

  const listener: Listener = Object.assign(server, { keepAlive, lingerMs: 0 })
  return listener
}

/** Once the event loop has come round, and has read what had arrived and taken up who had come. */
function afterReading (act: () => void): void { setImmediate(() => { setImmediate(act) }) }

/**
 * Of those who have sent requests ahead one goes on each time that the event loop comes round: it comes round as often as it can, and
 * takes up new connections and the requests of others in between.
 */
function inTurn (): (goOn: () => void) => void {
  const waiting: Array<() => void> = []
  const next = (): void => {
    const goOn = waiting.shift() as () => void
    if (waiting.length > 0) setImmediate(next)
    goOn()
  }
  return goOn => { if (waiting.push(goOn) === 1) setImmediate(next) }
}

interface Surroundings {
  handle: RequestListener
  onAnswered: () => void
  goOnLater: (goOn: () => void) => void
  onRefused: OnRefused
}

interface Exchange { request: IncomingMessage, response: ServerResponse }

/**
 * One request at a time is under way on it; what the client sends ahead waits unread, and is answered in order. Node would hand
 * on all that one read holds, two thousand requests, and only the first of them would ever hear that its connection has ended.
 */
class Connection {
  readonly #socket: Socket
  readonly #surroundings: Surroundings
  /** The latest that has begun. */
  #exchange: Exchange | undefined
  /** What the end of a body brought along: the read is cut where heads end, so it is no more than a request or two. */
  readonly #ahead: Exchange[] = []
  /** When something came last. */
  #readAt = performance.now()

  constructor (socket: Socket, surroundings: Surroundings) {
    this.#socket = socket
    this.#surroundings = surroundings
    // Node's own reader: it is given what it would have read, in pieces, and when it is time.
    const [parse] = socket.listeners('data') as [(piece: Buffer) => void]
    socket.off('data', parse).on('data', (read: Buffer) => { this.#read(read, parse) })
  }

  /** A request is here, all of it, and not answered yet. */
  get isAtWork (): boolean { return this.#exchange?.request.complete === true && !this.#exchange.response.closed }

  #read (read: Buffer, parse: (piece: Buffer) => void): void {
    this.#readAt = performance.now()
    // What comes after the last answer is ignored.
    for (let rest = read; rest.length > 0 && this.#socket.writable;) {
      if (this.isAtWork) {
        this.#socket.pause().unshift(rest)
        return
      }
      const end = rest.indexOf(HEAD_END)
      const size = end < 0 ? rest.length : end + HEAD_END.length
      parse(size === rest.length ? rest : rest.subarray(0, size))
      rest = rest.subarray(size)
    }
  }

  take (exchange: Exchange): void {
    if (this.#exchange?.response.closed === false) this.#ahead.push(exchange)
    else this.#begin(exchange)
  }

  #begin (exchange: Exchange): void {
    this.#exchange = exchange
    exchange.response.once('close', () => { this.#end() })
    this.#surroundings.handle(exchange.request, exchange.response)
  }

  #end (): void {
    this.#surroundings.onAnswered()
    // Of a connection that has ended, or is about to, no further request counts (RFC 9112 §9.6).
    if (!this.#socket.writable) return
    const next = this.#ahead.shift()
    if (next !== undefined) this.#begin(next)
    else if (this.#socket.isPaused()) this.#surroundings.goOnLater(() => { this.#socket.resume() })
  }

  /** What came cannot be read, or does not come: it is told so, unless it would be taken for the answer to something else. */
  fail (error: Error): void {
    const latest = this.#ahead.at(-1) ?? this.#exchange
    const { complete = true } = latest?.request ?? {}
    if (latest === undefined || (complete && latest.response.closed)) this.#refuse(error)
    else if (complete) latest.response.once('close', () => { this.#refuse(error) })
    else if (latest.response.headersSent) this.close()
    else this.#refuse(error)
  }

  #refuse (error: Error): void { answerClientError(error, this.#socket, this.#surroundings.onRefused) }

  /** Of the answer that is due. A client that asked for no more than one is given no more. */
  keepAlive (isKept: boolean): void {
    const isWanted = this.#exchange?.request.headers.connection?.toLowerCase() !== 'close'
    if (this.#exchange?.response.headersSent === false) this.#exchange.response.shouldKeepAlive = ![isKept, isWanted].includes(false)
  }

  /** Nothing is under way on it, and nothing has come for so long. */
  isQuiet (ms: number): boolean {
    const isIdle = this.#exchange === undefined || this.#exchange.response.closed
    return isIdle && !this.#socket.isPaused() && performance.now() - this.#readAt >= ms
  }

  /** Nothing has come or gone for long. A client that waits for an answer gets it; one that does not read it is not waited for. */
  closeUnlessAtWork (): void {
    if (!this.isAtWork || this.#exchange?.response.headersSent === true) this.close()
  }

  close (): void { this.#socket.destroy() }
}
