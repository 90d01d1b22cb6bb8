import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSigner } from 'fast-jwt'
import { type Account, accountOf, loginTypesOf } from './users.ts'
import { bodyOf, RESOURCE, type SsoClient } from './provider.ts'

/** Where the browser keeps its first-factor token: nginx turns this cookie into `Authorization` when it asks the service. */
export const COOKIE = '__Host-token'
/** Which log-in by SSO this browser has begun: no other may end in it. */
const STATE_COOKIE = '__Host-state'
const SESSION_SECONDS = 8 * 3600

export interface ApplicationOptions {
  /** What the browser sees. */
  origin: string
  provider: string
  client: SsoClient
  /** The issuer that this application is to the service. */
  issuer: string
  audience: string
  tokenSecret: string
  now?: () => Date
  /** What the token of a log-in says instead, for tests. */
  say?: (claims: Record<string, unknown>) => Record<string, unknown>
}

interface Route {
  method: string
  path: string
  handle: (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>
}

/**
 * The application that is to get a second factor: it signs users in by password or by SSO, and what is behind the gateway it
 * serves to the user that `X-MFA-User` names.
 */
export async function startApplication (port: number, options: ApplicationOptions): Promise<{ stop: () => void }> {
  const { origin, provider, client, now = () => new Date(), say = claims => claims } = options
  const sign = createSigner({ key: options.tokenSecret, algorithm: 'HS256' })
  /** Log-ins by SSO that are under way: their PKCE is left out, as the client is confidential and on this machine. */
  const underWay = new Map<string, string>()

  /** A first-factor token: one login, which is what a remembered second factor is bound to. */
  const tokenOf = (account: Account): string => {
    const time = Math.floor(now().getTime() / 1000)
    return sign(say({
      iss: options.issuer,
      aud: options.audience,
      sub: account.name,
      preferred_username: account.name,
      accounts: loginTypesOf(account),
      roles: account.roles ?? [],
      amr: ['pwd'],
      sid: randomUUID(),
      auth_time: time,
      iat: time,
      exp: time + SESSION_SECONDS
    }))
  }

  const routes: Route[] = [
    {
      method: 'POST',
      path: '/auth/password',
      handle: async (request, response) => {
        const { name = '', password = '' } = JSON.parse(await bodyOf(request)) as Record<string, string>
        const account = accountOf(name)
        if (account?.password === undefined || !isSame(account.password, password)) return send(response, 401)
        send(response, 204, cookie(tokenOf(account), SESSION_SECONDS))
      }
    },
    {
      method: 'GET',
      path: '/auth/sso',
      handle: (_request, response, url) => {
        const state = randomBytes(16).toString('base64url')
        underWay.set(state, url.searchParams.get('return_to') ?? '')
        const query = {
          client_id: client.id,
          response_type: 'code',
          redirect_uri: client.redirectUri,
          scope: 'openid api',
          resource: RESOURCE,
          state,
          prompt: 'login'
        }
        send(response, 302, { ...cookie(state, 600, STATE_COOKIE), location: `${provider}/auth?${new URLSearchParams(query).toString()}` })
      }
    },
    {
      method: 'GET',
      path: '/auth/callback',
      handle: async (request, response, url) => {
        const state = url.searchParams.get('state') ?? ''
        const returnTo = underWay.get(state)
        if (returnTo === undefined || cookieOf(request, STATE_COOKIE) !== state || !underWay.delete(state)) {
          return send(response, 302, { location: '/sign-in' })
        }
        const body = new URLSearchParams({
          grant_type: 'authorization_code',
          code: url.searchParams.get('code') ?? '',
          redirect_uri: client.redirectUri,
          client_id: client.id,
          client_secret: client.secret
        })
        const answer = await fetch(`${provider}/token`, { method: 'POST', body })
        if (!answer.ok) return send(response, 302, { location: '/sign-in' })
        const { access_token: token } = await answer.json() as { access_token: string }
        send(response, 302, {
          ...cookie(token, SESSION_SECONDS),
          location: `/signed-in?${new URLSearchParams({ return_to: returnTo }).toString()}`
        })
      }
    },
    {
      // The page's own script needs the token to speak to the service. A page of another site can't read this answer.
      method: 'GET',
      path: '/auth/token',
      handle: (request, response) => {
        const token = cookieOf(request, COOKIE)
        if (token === undefined) return send(response, 401)
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify({ token }))
      }
    },
    { method: 'POST', path: '/auth/log-out', handle: (_request, response) => { send(response, 204, cookie('', 0)) } },
    {
      // Behind the gateway: who it is stands in X-MFA-User, and nowhere else.
      method: 'GET',
      path: '/app/api/documents',
      handle: (request, response) => {
        const user = request.headers['x-mfa-user']
        if (user === undefined || user === '') return send(response, 403)
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(
          JSON.stringify({ documents: ['Plans.pdf', 'Minutes.odt'], acr: request.headers['x-mfa-acr'] })
        )
      }
    },
    {
      // The gateway asks for a passkey here. That it does is worth a look of one's own: another line of its configuration may not.
      method: 'GET',
      path: '/app/api/salaries',
      handle: (request, response) => {
        if (request.headers['x-mfa-acr'] !== 'phr') return send(response, 403)
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(
          JSON.stringify({ salaries: ['Alice: 5,000', 'Bob: 4,000'] })
        )
      }
    }
  ]

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', origin)
    const route = routes.find(({ method, path }) => method === request.method && path === url.pathname)
    if (route === undefined) return send(response, 404)
    // What changes something comes from our own pages: a form of another site has another type, or no permission to send it.
    if (route.method === 'POST' && request.headers['content-type'] !== 'application/json') return send(response, 415)
    Promise.resolve(route.handle(request, response, url)).catch(() => { send(response, 400) })
  })
  await new Promise<void>(resolve => { server.listen(port, '127.0.0.1', resolve) })
  return { stop: () => { server.closeAllConnections(); server.close() } }
}

const send = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'cache-control': 'no-store', ...headers }).end()
}

const cookieOf = ({ headers }: IncomingMessage, name: string): string | undefined =>
  new RegExp(`(?:^|; *)${name}=([^;]+)`).exec(headers.cookie ?? '')?.[1]

const cookie = (value: string, seconds: number, name = COOKIE): Record<string, string> => ({
  'set-cookie': `${name}=${value}; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=${seconds}`
})

function isSame (one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
