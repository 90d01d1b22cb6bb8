// Issuers with keys of their own: what they publish, and the tokens that they sign.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rsaPair } from './rsa.ts'
import { type Answer, type Service, signWithKey, startService, type TestClock } from './service.ts'

interface Teardown { teardown: (action: () => unknown) => unknown, testdir: (content: Record<string, string>) => string }

type Jwk = Record<string, unknown>

/** An issuer on the loopback, which counts who asks for its keys, and whose answer a test may change. */
export class TestIssuer {
  asked = 0
  keys: Jwk[]
  answer: (() => { status?: number, body?: string, location?: string, delay?: number }) | undefined
  url = ''
  constructor (readonly iss: string, readonly algorithm: 'RS256' | 'ES256' = 'ES256') { this.keys = [newKey(algorithm)] }

  get jwksUrl (): string { return `${this.url}/jwks.json` }

  async start (t: Teardown): Promise<this> {
    const server = createServer((_request, response) => {
      this.asked++
      const { status = 200, body = JSON.stringify({ keys: this.keys.map(publicPart) }), location, delay = 0 } = this.answer?.() ?? {}
      setTimeout(() => {
        response.writeHead(status, { 'content-type': 'application/json', ...(location !== undefined && { location }) }).end(body)
      }, delay)
    }).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    t.teardown(() => { server.closeAllConnections(); server.close() })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return this
  }

  /** A token of a login just now; `undefined` claims are left out. */
  sign (clock: TestClock, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = this.keys[0] as Jwk): string {
    const now = clock.seconds
    return signWithKey(
      { iss: this.iss, aud: 'mfa', sub: `user-${randomUUID()}`, auth_time: now, iat: now, exp: now + 900, ...claims },
      key,
      { alg: this.algorithm, kid: key.kid, ...header }
    )
  }
}

export function newKey (algorithm: 'RS256' | 'ES256' = 'ES256', kid: string = randomUUID()): Jwk {
  const { privateKey } = algorithm === 'RS256' ? rsaPair() : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' }
}

export const publicPart = ({ kty, crv, x, y, n, e, kid, alg, use }: Jwk): Jwk => ({ kty, crv, x, y, n, e, kid, alg, use })

/** The environment with these entries in a file, and without the plain variables. */
export const issuersEnvironment = (t: Teardown, entries: unknown): Record<string, string | undefined> => ({
  JWT_ISSUER: undefined,
  JWT_AUDIENCE: undefined,
  JWT_SECRET: undefined,
  TRUSTED_ISSUERS_FILE: `${t.testdir({ 'issuers.json': typeof entries === 'string' ? entries : JSON.stringify(entries) })}/issuers.json`
})

/** A service that trusts these. */
export const startTrusting = (t: Teardown, entries: object[], env: Record<string, string | undefined> = {}): Promise<Service> =>
  startService(t, { ...issuersEnvironment(t, entries), ...env })

export interface Trusting { service: Service, issuer: TestIssuer, status: (token: string) => Promise<Answer> }

/** A service that trusts one issuer of its own, and what it says to a token of it. */
export async function trusting (t: Teardown): Promise<Trusting> {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const service = await startTrusting(t, [{ issuer: issuer.iss, audience: 'mfa', jwksUrl: issuer.jwksUrl }])
  return { service, issuer, status: async token => await service.call('GET', '/mfa/status', { token }) }
}

export const newTenant = (): string => `tenant-${randomUUID()}`
