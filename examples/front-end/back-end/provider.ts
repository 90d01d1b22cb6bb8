import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
// From their own files: the package's index warns of Node 20, on which it works, and of an adapter that is left out.
// @ts-expect-error -- it has no types of its own
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'
// @ts-expect-error -- it has no types of its own
import { Provider } from 'oidc-provider/lib/provider.js'
import { ACCOUNTS, accountOf, loginTypesOf } from './users.ts'

export const RESOURCE = 'urn:headless-mfa:example'
/** What the service demands as the audience of the provider's access tokens. */
export const SSO_AUDIENCE = 'headless-mfa-sso'
const HOURS = 3600

export interface SsoClient { id: string, secret: string, redirectUri: string }

/** The company's identity provider: OpenID Connect, with a log-in page where a name is enough. */
export async function startProvider (port: number, client: SsoClient): Promise<{ issuer: string, stop: () => void }> {
  const issuer = `http://127.0.0.1:${port}`
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  const provider = new Provider(issuer, {
    adapter: createMemoryAdapter(0), // nothing of it outlives the process
    clients: [{
      client_id: client.id,
      client_secret: client.secret,
      redirect_uris: [client.redirectUri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post'
    }],
    jwks: { keys: [{ ...key, kid: 'sso', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes: ['openid', 'api'],
    ttl: { AccessToken: 8 * HOURS, Session: 8 * HOURS, Grant: 8 * HOURS, Interaction: HOURS, IdToken: HOURS },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'api',
          audience: SSO_AUDIENCE,
          accessTokenTTL: 8 * HOURS,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } }
        })
      }
    },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/sign-in/${uid}` },
    findAccount: (_context: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    // What the service wants to know of a login: which session, when, how, and which accounts this user has.
    extraTokenClaims: (context: any, token: any) => {
      const { authTime, amr } = context.oidc.entities.AuthorizationCode
      return {
        sid: token.sessionUid,
        auth_time: authTime,
        amr,
        accounts: loginTypesOf(accountOf(token.accountId) ?? { name: token.accountId, hasSso: true })
      }
    }
  })

  const signIn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
    if (prompt.name === 'login') {
      const name = request.method === 'POST' ? new URLSearchParams(await bodyOf(request)).get('name') ?? '' : ''
      const account = accountOf(name)
      if (account?.hasSso !== true) {
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page(name !== ''))
        return
      }
      return await provider.interactionFinished(request, response, { login: { accountId: account.name, amr: ['pwd'] } }, {
        mergeWithLastSubmission: false
      })
    }
    const grant = grantId === undefined
      ? new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
      : await provider.Grant.find(grantId)
    grant.addOIDCScope(params.scope)
    grant.addResourceScope(RESOURCE, 'api')
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
  }

  const server = createServer((request, response) => {
    const handling = request.url?.startsWith('/sign-in/') === true ? signIn(request, response) : provider.callback()(request, response)
    Promise.resolve(handling).catch((error: unknown) => { response.writeHead(500).end(String(error)) })
  })
  await new Promise<void>(resolve => { server.listen(port, '127.0.0.1', resolve) })
  return { issuer, stop: () => { server.closeAllConnections(); server.close() } }
}

const page = (isUnknown: boolean): string => `<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width"><title>Example Company</title>
<style>body { font: 1rem/1.5 system-ui; max-width: 22rem; margin: 4rem auto; padding: 0 1rem }
input, button { font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin-top: .5rem }</style>
<main><h1>Example Company</h1><p>The company's sign-in: a name is enough here (${
    ACCOUNTS.filter(({ hasSso }) => hasSso).map(({ name }) => name).join(', ')
  }).</p>
${isUnknown ? '<p role="alert">There is no user of that name here.</p>' : ''}
<form method="post"><label>Name <input name="name" autocomplete="username" required autofocus></label><button>Sign in</button></form>
</main></html>`

export async function bodyOf (request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > 4096) throw new Error('too long')
  }
  return text
}
