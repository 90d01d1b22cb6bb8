// Requests that no HTTP client would send.
import { once } from 'node:events'
import net, { type Socket } from 'node:net'

export interface RawAnswer { status: number, headers: Record<string, string>, body: string, text: string }

/** Sends text or bytes over one connection, in pieces if it is several, and reads until the server closes it. */
export async function raw (url: string, pieces: string | Uint8Array | string[], pauseMs = 0, localAddress?: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const socket = net.connect({ port: Number(port), host: hostname, localAddress })
  const chunks: Buffer[] = []
  socket.on('data', data => { chunks.push(data as Buffer) }).on('error', () => {})
  const closed = new Promise(resolve => socket.once('close', resolve))
  for (const piece of [pieces].flat()) {
    if (socket.destroyed) break
    socket.write(piece)
    if (pauseMs > 0) await Promise.race([closed, new Promise(resolve => setTimeout(resolve, pauseMs))])
  }
  await closed
  return parse(Buffer.concat(chunks).toString())
}

/** The lines of a request that closes the connection behind it. */
export const request = (line: string, headers: string[] = [], body = ''): string =>
  [`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, '', body].join('\r\n')

export interface Wire {
  socket: Socket
  /** The answers so far, in order; one without a length ends with its head. */
  answers: () => RawAnswer[]
  /** When there are so many of them. */
  until: (count: number) => Promise<RawAnswer[]>
  closed: Promise<unknown>
}

/** One connection that is kept open, to write on it what one likes. It ends with the test. */
export async function wire (t: { teardown: (action: () => unknown) => unknown }, url: string): Promise<Wire> {
  const { hostname, port } = new URL(url)
  const socket = net.connect(Number(port), hostname).setNoDelay()
  t.teardown(() => { socket.destroy() })
  let text = ''
  socket.setEncoding('latin1').on('data', data => { text += String(data) }).on('error', () => {})
  const closed = new Promise(resolve => socket.once('close', resolve))
  await once(socket, 'connect')
  const answers = (): RawAnswer[] => {
    const found: RawAnswer[] = []
    for (let at = 0; ;) {
      const head = text.indexOf('\r\n\r\n', at)
      if (head < 0) return found
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(at, head))?.[1] ?? 0)
      const end = head + 4 + length
      if (text.length < end) return found
      found.push(parse(text.slice(at, end)))
      at = end
    }
  }
  return {
    socket,
    answers,
    closed,
    async until (count) {
      while (answers().length < count) {
        if (socket.closed) throw new Error(`the connection ended after ${answers().length} answers`)
        await Promise.race([once(socket, 'data'), closed])
      }
      return answers()
    }
  }
}

function parse (text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
  )
  return { status: Number(statusLine.split(' ')[1]), headers, body: text.slice(end + 4), text }
}
