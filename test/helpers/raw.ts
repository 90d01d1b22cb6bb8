// Requests that no HTTP client would send.
import net from 'node:net'

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

function parse (text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  return { status: Number(statusLine.split(' ')[1]), headers, body: text.slice(end + 4), text }
}
