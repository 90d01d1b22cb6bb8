import { lookup } from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { isPublicAddress } from '../platform/address.ts'

/** Milliseconds for all of a delivery: the name, the connection, the answer. */
const TIMEOUT = 10_000
/** How much is read of an answer, and how long, before the connection is closed: its status alone counts. */
const MAX_BYTES = 16 * 1024
const READ_TIMEOUT = 1000

export interface WebhookEndpoint {
  url: string
  /** `whsec_…`: each signs, and the endpoint may know any of them. */
  secrets: () => readonly string[]
  isPrivateAllowed: boolean
  userAgent: string
}

export interface Message { id: string, body: string }

/** What became of a delivery; `text` says more of a failure, and never what the endpoint answered. */
export interface Delivery {
  outcome: 'delivered' | 'gone' | 'redirect' | 'refused' | 'failed' | 'timeout' | 'address' | 'unreachable' | 'interrupted'
  text: string
}

class AddressError extends Error {}
class TimeoutError extends Error {}

/**
 * Sends messages as Standard Webhooks has it. The address is checked where it is used: each that the name resolves to, and
 * exactly those are connected to. No redirect is followed, no proxy asked, no connection kept.
 */
export function createWebhook (
  { url, secrets, isPrivateAllowed, userAgent }: WebhookEndpoint,
  timeout = TIMEOUT
): (message: Message, signal: AbortSignal) => Promise<Delivery> {
  const target = new URL(url)
  const { request, Agent } = target.protocol === 'https:' ? https : http
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const isAllowed = isPrivateAllowed ? () => true : isPublicAddress
  const agent = new Agent({ keepAlive: false, autoSelectFamily: true, rejectUnauthorized: true, lookup: lookupAllowed(isAllowed) })

  function sign ({ id, body }: Message): Record<string, string> {
    const now = new Date()
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': secrets().map(secret => new Webhook(secret).sign(id, now, body)).join(' ')
    }
  }

  /** The status of the answer. */
  async function post (message: Message, signal: AbortSignal): Promise<number> {
    // A name is resolved; what is an address already is not.
    if (isIP(host) !== 0 && !isAllowed(host)) throw new AddressError()
    const body = Buffer.from(message.body)
    const headers = { ...sign(message), 'content-type': 'application/json', 'content-length': body.length, 'user-agent': userAgent }
    return await new Promise<number>((resolve, reject) => {
      const sent = request(target, { method: 'POST', headers, agent, signal, maxHeaderSize: MAX_BYTES })
      const timer = setTimeout(() => { sent.destroy(new TimeoutError()) }, timeout)
      sent.on('response', response => {
        drain(response)
        resolve(response.statusCode as number)
      }).on('error', reject).on('close', () => {
        clearTimeout(timer)
        // As after an answer that would change the protocol: there is no error then.
        reject(Object.assign(new Error('closed without an answer'), { code: 'ECONNRESET' }))
      }).end(body)
    })
  }

  return async (message, signal) => {
    try {
      return ofStatus(await post(message, signal))
    } catch (error) {
      if (signal.aborted) return { outcome: 'interrupted', text: 'interrupted' }
      if (error instanceof TimeoutError) return { outcome: 'timeout', text: `no answer within ${timeout / 1000} seconds` }
      if (error instanceof AddressError) return { outcome: 'address', text: 'the address is not a public one' }
      return { outcome: 'unreachable', text: `not reached: ${(error as { code?: string }).code as string}` }
    }
  }
}

/** Lets the endpoint finish its answer, if that is little and soon. */
function drain (response: http.IncomingMessage): void {
  let size = 0
  const timer = setTimeout(() => { response.destroy() }, READ_TIMEOUT)
  response.on('error', () => {}).on('close', () => { clearTimeout(timer) }).on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > MAX_BYTES) response.destroy()
  })
}

function ofStatus (status: number): Delivery {
  const text = `answered ${status}`
  if (status < 300) return { outcome: 'delivered', text }
  if (status < 400) return { outcome: 'redirect', text }
  if (status === 410) return { outcome: 'gone', text }
  return { outcome: status < 500 ? 'refused' : 'failed', text }
}

/** Resolves a name, and refuses it if any of its addresses is. What is answered here is connected to: one of them. */
const lookupAllowed = (isAllowed: (address: string) => boolean): LookupFunction => (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '', 0)
    if (!addresses.every(({ address }) => isAllowed(address))) return callback(new AddressError(), '', 0)
    callback(null, addresses)
  })
}
