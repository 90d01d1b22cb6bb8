// A real OpenID provider (oidc-provider) on the loopback, and a client that signs users in by the authorization-code flow.
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
// @ts-expect-error -- it has no types of its own
import { Provider } from 'oidc-provider'
import { newKey } from './issuers.ts'
import { TestClock } from './service.ts'

export const RESOURCE = 'https://mfa.test/api'
export const CLIENT_SECRET = 'client-secret-of-the-test-client-0123456789'
const base64url = (bytes: Buffer): string => bytes.toString('base64url')

export interface Login { accessToken: string, idToken: string, refreshToken: string | undefined }

/** Cookies by name and path: the provider has several of one name. As in a browser, all ports of a host have the same. */
export class CookieJar {
  #cookies = new Map<string, { path: string, pair: string }>()
  for (location: string): string {
    const { pathname } = new URL(location)
    return [...this.#cookies.values()].filter(({ path }) => pathname.startsWith(path)).map(({ pair }) => pair).join('; ')
  }

  take (location: string, cookies: string[]): void {
    for (const cookie of cookies) {
      const [pair, ...attributes] = cookie.split(/; */) as [string, ...string[]]
      const path = attributes.find(attribute => /^path=/i.test(attribute))?.slice(5) ?? '/'
      const [name, value] = pair.split('=') as [string, string]
      if (value === '') this.#cookies.delete(`${name} ${path}`)
      else this.#cookies.set(`${name} ${path}`, { path, pair })
    }
  }
}

/** The provider's clock is the machine's, so a service's that trusts it is too. */
export class MachineClock extends TestClock {
  #ahead = 0
  override read = (): Date => new Date(Date.now() + this.#ahead * 1000)
  override get seconds (): number { return Math.floor(this.read().getTime() / 1000) }
  override advance (seconds: number): void { this.#ahead += seconds }
  override code (secret: string, offset = 0): string {
    const still = new TestClock()
    still.advance(Math.floor(this.read().getTime() / 30_000) * 30 + 5 - still.seconds)
    return still.code(secret, offset)
  }
}

export class TestProvider {
  #provider: any
  url = ''
  keys = [newKey('RS256')]
  /** What the access tokens carry besides. */
  claims: Record<string, unknown> = {}
  /** How the user proves who it is. */
  amr = ['pwd']
  /** Who signs in where the client does not say. */
  user = 'alice'
  /** Where the clients gateway-0, gateway-1, … take users back. */
  gateways: string[] = []

  async start (t: { teardown: (action: () => unknown) => unknown }): Promise<this> {
    const server = createServer((request, response) => {
      const handling = request.url?.startsWith('/sign-in/') === true
        ? this.#signIn(request, response)
        : this.#provider.callback()(request, response)
      Promise.resolve(handling).catch((error: unknown) => { response.writeHead(500).end(String(error)) })
    }).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    t.teardown(() => { server.closeAllConnections(); server.close() })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#provider = this.#create()
    return this
  }

  get jwksUrl (): string { return `${this.url}/jwks` }

  /** A new key signs from now on; `isOldPublished` leaves the others in the set, as a provider does for a while. */
  rotate (isOldPublished = true): void {
    this.keys = [newKey('RS256'), ...(isOldPublished ? this.keys : [])]
    this.#provider = this.#create()
  }

  #create (): any {
    const client = { client_secret: CLIENT_SECRET, token_endpoint_auth_method: 'client_secret_post' }
    return new Provider(this.url, {
      clients: [
        {
          ...client,
          client_id: 'app',
          redirect_uris: [`${this.url}/callback`],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code']
        },
        // A gateway, which signs users in by itself.
        ...this.gateways.map((uri, index) => ({
          client_secret: CLIENT_SECRET,
          client_id: `gateway-${index}`,
          redirect_uris: [uri],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code']
        })),
        { ...client, client_id: 'machine', redirect_uris: [], grant_types: ['client_credentials'], response_types: [] }
      ],
      jwks: { keys: this.keys },
      cookies: { keys: [randomBytes(32).toString('hex')] },
      scopes: ['openid', 'offline_access', 'email', 'api'],
      claims: { openid: ['sub'], email: ['email'] },
      issueRefreshToken: () => true,
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => RESOURCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: 'api',
            audience: 'mfa',
            accessTokenTTL: 900,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } }
          })
        }
      },
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/sign-in/${uid}` },
      findAccount: (_context: unknown, accountId: string) => ({
        accountId,
        claims: () => ({ sub: accountId, email: `${accountId}@example.com` })
      }),
      // What a provider must be told to put into access tokens.
      extraTokenClaims: (context: any, token: any) => {
        const source = context.oidc.entities.AuthorizationCode ?? context.oidc.entities.RefreshToken
        return { ...this.claims, ...(source !== undefined && { sid: token.sessionUid, auth_time: source.authTime, amr: source.amr }) }
      }
    })
  }

  /** Stands for the log-in page: the user of `login_hint` signs in, and consents. */
  async #signIn (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
    if (prompt.name === 'login') {
      await provider.interactionFinished(request, response, { login: { accountId: params.login_hint ?? this.user, amr: this.amr } }, {
        mergeWithLastSubmission: false
      })
      return
    }
    const grant = grantId === undefined
      ? new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
      : await provider.Grant.find(grantId)
    const { missingOIDCScope = [], missingOIDCClaims = [], missingResourceScopes = {} } = prompt.details
    grant.addOIDCScope(['openid', 'offline_access', ...missingOIDCScope].join(' '))
    grant.addOIDCClaims(missingOIDCClaims)
    for (const [resource, scopes] of Object.entries({ [RESOURCE]: ['api'], ...missingResourceScopes })) {
      grant.addResourceScope(resource, (scopes as string[]).join(' '))
    }
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
  }

  /** The authorization-code flow with PKCE (RFC 7636), as a browser and an application go through it. */
  async login (sub: string): Promise<Login> {
    const verifier = base64url(randomBytes(32))
    const query = new URLSearchParams({
      client_id: 'app',
      response_type: 'code',
      redirect_uri: `${this.url}/callback`,
      scope: 'openid email offline_access api',
      login_hint: sub,
      prompt: 'login consent',
      code_challenge: base64url(createHash('sha256').update(verifier).digest()),
      code_challenge_method: 'S256',
      nonce: 'nonce-of-the-test',
      state: 's',
      max_age: '3600'
    })
    const cookies = new CookieJar()
    let location = `${this.url}/auth?${query.toString()}`
    for (let hops = 0; !location.startsWith(`${this.url}/callback`); hops++) {
      const response = await fetch(location, { redirect: 'manual', headers: { cookie: cookies.for(location) } })
      cookies.take(location, response.headers.getSetCookie())
      const next = response.headers.get('location')
      if (next === null || hops > 10) throw new Error(`sign-in: ${response.status} ${await response.text()}`)
      location = new URL(next, location).href
    }
    const code = new URL(location).searchParams.get('code')
    if (code === null) throw new Error(`no code: ${location}`)
    return await this.#token({
      grant_type: 'authorization_code',
      code,
      redirect_uri: `${this.url}/callback`,
      code_verifier: verifier,
      client_id: 'app'
    })
  }

  refresh = (refreshToken: string): Promise<Login> =>
    this.#token({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: 'app' })

  /** A token of the client itself, without a user. */
  machine = (): Promise<Login> => this.#token({ grant_type: 'client_credentials', scope: 'api', client_id: 'machine' })

  async #token (body: Record<string, string>): Promise<Login> {
    const response = await fetch(`${this.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ ...body, client_secret: CLIENT_SECRET })
    })
    const answer = await response.json() as Record<string, string>
    if (response.status !== 200) throw new Error(`token: ${JSON.stringify(answer)}`)
    return { accessToken: answer.access_token as string, idToken: answer.id_token as string, refreshToken: answer.refresh_token }
  }
}
