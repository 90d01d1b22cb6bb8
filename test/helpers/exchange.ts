// One request of a client that keeps its connections, and its answer.
import { type Agent, request } from 'node:http'

export interface Exchange {
  agent: Agent
  port: number
  method: string
  path: string
  headers: Record<string, string>
  body?: string | undefined
  /** For how many milliseconds nothing may come; without it for as long as the server likes. */
  timeoutMs?: number
}

/** @throws what broke the connection, before or while it was answered */
export function exchange ({ agent, port, method, path, headers, body, timeoutMs }: Exchange): Promise<{ status: number, text: string }> {
  const ofBody = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const options = { agent, port, host: '127.0.0.1', method, path, headers: { ...headers, ...ofBody }, timeout: timeoutMs }
    const sent = request(options, answer => {
      let text = ''
      answer.on('data', chunk => { text += String(chunk) })
      answer.on('end', () => { resolve({ status: answer.statusCode as number, text }) }).on('error', reject)
    })
    sent.on('timeout', () => { sent.destroy(new Error('no answer')) }).on('error', reject).end(body)
  })
}
