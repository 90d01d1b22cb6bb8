// A real webhook endpoint on the loopback. It keeps what it was sent, and answers as a test says.
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { until } from './until.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export const webhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

export interface Received { id: string, body: any, text: string, headers: Record<string, string> }

export type Answering = (response: ServerResponse, received: Received) => unknown

const accept: Answering = response => response.writeHead(204).end()

export class TestEndpoint {
  /** All that was sent here, whatever was answered. */
  received: Received[] = []
  /** What was answered with 2xx, in that order. */
  accepted: Received[] = []
  connections = 0
  answer: Answering = accept
  url = ''
  readonly secret = webhookSecret()

  async start (t: Teardown, port = 0): Promise<this> {
    const server = createServer((request, response) => { void this.#take(request, response) })
      .on('connection', () => { this.connections++ })
      .listen(port, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    t.teardown(() => { server.closeAllConnections(); server.close() })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`
    return this
  }

  get environment (): Record<string, string> {
    return { WEBHOOK_URL: this.url, WEBHOOK_SECRET: this.secret, WEBHOOK_ALLOW_PRIVATE: 'true' }
  }

  /** Takes everything from now on. */
  recover (): void { this.answer = accept }

  /** Throws unless one of ours has signed it just now. */
  verify ({ text, headers }: Received): unknown { return new Webhook(this.secret).verify(text, headers) }

  /** The accepted ones, as soon as there are so many; else what there is after some seconds. */
  async until (count: number): Promise<Received[]> {
    await until(() => this.accepted.length >= count)
    return this.accepted
  }

  async #take (request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += chunk as string
    const received = {
      id: String(request.headers['webhook-id']),
      body: JSON.parse(text),
      text,
      headers: request.headers as Record<string, string>
    }
    this.received.push(received)
    response.on('error', () => {})
    const { writeHead } = response
    response.writeHead = ((status: number, ...rest: never[]) => {
      if (status < 300) this.accepted.push(received)
      return writeHead.call(response, status, ...rest)
    }) as typeof writeHead
    await this.answer(response, received)
  }
}
