// A service, an application, and a gateway between them: with its configuration of examples/gateways as it is, but for what
// the operator fills in.
import type { Test } from 'tap'
import { type Addresses, type Application, type Arrival, freePort, startApplication, TOKEN_HEADER } from './gateways.ts'
import { issuersEnvironment, TestIssuer } from './issuers.ts'
import { PASSKEYS } from './passkeys.ts'
import { type Proxy, startProxy } from './proxy.ts'
import { raw, type RawAnswer } from './raw.ts'
import { type Answer, AUDIENCE, type Call, callTo, ISSUER, type User, SECRET, type Service, startService } from './service.ts'

export interface Gateway {
  name: string
  /** The answer is what it has printed so far. */
  start: (t: Test, addresses: Addresses) => Promise<() => string>
  /** What it says of a service that is not there. */
  unavailable: string
  /** How a browser carries its token; in `Authorization` unless said otherwise. */
  carry?: (token: string) => Record<string, string>
  /** What is so with this one alone. */
  also?: [guarantee: string, prove: (t: Test, stage: Stage) => Promise<void>]
}

export interface Stage {
  service: Service
  /** Who signs the tokens that a gateway before this one hands on. */
  outer: TestIssuer
  proxy: Proxy
  application: Application
  /** The gateway's `host:port`. */
  host: string
  go: (path: string, token?: string, call?: Call & { method?: string }) => Promise<Answer>
  browse: (path: string, token?: string) => Promise<Answer>
  /** What the gateway has printed. */
  output: () => string
  /** What arrived since the last time. */
  arrived: () => Arrival[]
  carry: (token: string) => Record<string, string>
}

export const HTML = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }
export const PAGES = {
  ENROLL_PAGE_URL: 'https://id.example.com/set-up',
  VERIFY_PAGE_URL: 'https://id.example.com/code',
  LOGIN_PAGE_URL: 'https://id.example.com/login'
}

export async function setUp (
  t: Test,
  { start, carry = token => ({ authorization: `Bearer ${token}` }) }: Gateway,
  isFilledIn = true
): Promise<Stage> {
  const host = `127.0.0.1:${await freePort()}`
  const outer = await new TestIssuer('https://outer.test').start(t)
  const issuers = [
    { issuer: ISSUER, audience: AUDIENCE, secret: SECRET, tenants: '*', sessionClaim: 'sid', grants: ['mfa:admin'] },
    { issuer: outer.iss, audience: AUDIENCE, jwksUrl: outer.jwksUrl, tenants: '*', sessionClaim: 'sid', header: TOKEN_HEADER }
  ]
  const service = await startService(t, {
    ...PAGES,
    ...PASSKEYS,
    ...issuersEnvironment(t, issuers),
    TRUSTED_PROXIES: '127.0.0.0/8',
    RETURN_HOSTS: host
  })
  const proxy = await startProxy(t, service.url)
  const application = await startApplication(t)
  const output = await start(t, { listen: host, mfa: new URL(proxy.url).host, application: application.address, isFilledIn })
  const call = callTo(`http://${host}`)
  const go: Stage['go'] = (path, token, { method = 'GET', headers, ...more } = {}) =>
    call(method, path, { ...more, headers: { ...(token !== undefined && carry(token)), ...headers } })
  return {
    service,
    outer,
    proxy,
    application,
    host,
    output,
    go,
    browse: (path, token) => go(path, token, { headers: HTML }),
    arrived: () => application.arrivals.splice(0),
    carry
  }
}

/** Members of a tenant whose policy requires MFA. */
export async function enforce ({ service }: Stage): Promise<(claims?: Record<string, unknown>) => User> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const { status } = await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  if (status !== 200) throw new Error(`policy: ${status}`)
  return claims => service.user({ tenant: admin.tenant, sid: 'session-1', accounts: ['local'], ...claims })
}

/** A request as it is written: what no HTTP client would send, too. */
export const send = ({ host }: Stage, line: string, headers: string[], body = '', ownHost = host, from?: string): Promise<RawAnswer> =>
  raw(
    `http://${host}`,
    [
      `${line} HTTP/1.1`,
      `Host: ${ownHost}`,
      ...(headers.some(header => /^connection:/i.test(header))
        ? []
        : ['Connection: close']),
      ...headers,
      '',
      body
    ].join('\r\n'),
    0,
    from
  )

export const lines = (headers: Record<string, string>): string[] => Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
