// A TCP proxy before the database that behaves as networks do: whatever the engine behind it is, it can be gone.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { isReady, readStatements } from './statements.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export interface Proxy {
  /** The database's URL by way of the proxy. */
  url: string
  /** Ends all connections and refuses new ones. */
  refuse: () => Promise<void>
  /** Accepts everything and answers nothing; what is sent meanwhile is lost. */
  blackHole: () => void
  /**
   * What the client sends arrives. From the first answer that `pattern` matches on, what the server answers is lost: a change is made by
   * then. Resolves with that answer.
   */
  loseAnswers: (pattern?: RegExp) => Promise<void>
  /**
   * Of connections from now on: asks of each statement, once the server has done it, whether that is the one. Its client never hears of
   * that, nor of anything after it. Resolves then.
   */
  loseAnswerOf: (isIt: (statement: string) => boolean) => Promise<void>
  /** Each way takes so many milliseconds longer. */
  slow: (ms: number) => void
  /** Breaks the connections that there are. */
  cut: () => void
  /** New connections go to another server; those that there are stay where they are. */
  lead: (databaseUrl: string) => void
  /** All is well again, for new connections. */
  restore: () => Promise<void>
}

export async function startProxy (t: Teardown, databaseUrl: string): Promise<Proxy> {
  let target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let mode: 'pass' | 'slow' | 'black hole' | 'lose answers' | 'follow' = 'pass'
  let delay = 0
  let server: Server | undefined
  let isLost: (answer: Buffer) => boolean = () => true
  let isLostAfter: (statement: string) => boolean = () => false

  /** What becomes of the answers on one connection. */
  function startFollowing (): { send: (chunk: Buffer) => void, isLost: (answer: Buffer) => boolean } {
    const read = readStatements()
    const sent: string[] = []
    let isOver = false
    return {
      send: chunk => { sent.push(...read(chunk)) },
      isLost: answer => {
        if (sent.length > 0 && isReady(answer)) isOver ||= isLostAfter(sent.shift() as string)
        return isOver
      }
    }
  }

  function pass (client: Socket): void {
    const upstream = connect(Number(target.port || 5432), target.hostname)
    const followed = startFollowing()
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from)
      from.setNoDelay()
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on('data', chunk => {
        if (mode === 'follow' && from === client) followed.send(chunk)
        if (mode === 'pass' || ((mode === 'lose answers' || mode === 'follow') && from === client)) to.write(chunk)
        else if (mode === 'lose answers' && !isLost(chunk)) to.write(chunk)
        else if (mode === 'follow' && !followed.isLost(chunk)) to.write(chunk)
        else if (mode === 'slow') setTimeout(() => { to.write(chunk) }, delay)
      })
    }
  }

  async function listen (port: number): Promise<number> {
    server = createServer(pass).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  const cut = (): void => { for (const socket of sockets) socket.destroy() }
  const refuse = async (): Promise<void> => {
    if (server === undefined) return
    const closed = once(server, 'close')
    server.close()
    server = undefined
    cut()
    await closed
  }

  const port = await listen(0)
  t.teardown(refuse)
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return {
    url: url.href,
    refuse,
    cut,
    blackHole: () => { mode = 'black hole' },
    slow: ms => { [mode, delay] = ['slow', ms] },
    lead: databaseUrl => { target = new URL(databaseUrl) },
    loseAnswers: async (pattern = /^/) => {
      await new Promise<void>(resolve => {
        let hasMatched = false
        isLost = answer => {
          hasMatched ||= pattern.test(answer.toString('latin1'))
          if (hasMatched) resolve()
          return hasMatched
        }
        mode = 'lose answers'
      })
    },
    loseAnswerOf: async isIt => {
      await new Promise<void>(resolve => {
        isLostAfter = statement => {
          const isNow = isIt(statement)
          if (isNow) resolve()
          return isNow
        }
        mode = 'follow'
      })
    },
    async restore () {
      mode = 'pass'
      if (server === undefined) await listen(port)
    }
  }
}
