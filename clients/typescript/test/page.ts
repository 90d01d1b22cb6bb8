// A page at localhost with the client in it, before a service at another origin; and a passkey's device that Chromium simulates.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type BrowserContextOptions, type CDPSession, chromium, type Page } from 'playwright-core'
import { BROWSER } from '../../../test/helpers/browser.ts'
import { type Service, startService, type User } from '../../../test/helpers/service.ts'

interface Test { teardown: (action: () => unknown) => unknown }

export interface Device {
  /** The ids of what it keeps. */
  credentials: () => Promise<string[]>
  /** Does its user show a finger, a face or a PIN? */
  setVerified: (isUserVerified: boolean) => Promise<void>
  /** Does its user touch it when it asks? */
  setPresent: (enabled: boolean) => Promise<void>
}

export interface Visit {
  page: Page
  /** `METHOD /path` of what was sent since the last time. */
  sent: () => string[]
  device: Device
  addDevice: (transport: string) => Promise<Device>
  /** What an expression with `lib` (the client) and `mfa` gives, or `{ name, message, reason, code }` of what it is rejected with. */
  run: (expression: string) => Promise<any>
}

export interface Stage { service: Service, port: number, visit: (user: User, options?: VisitOptions) => Promise<Visit> }

export interface VisitOptions {
  host?: string
  /** Runs in the page before the client. */
  script?: string
  context?: BrowserContextOptions
}

export async function stage (t: Test, env: Record<string, string> = {}): Promise<Stage> {
  const folder = fileURLToPath(new URL('../src', import.meta.url))
  const [{ outputFiles: [bundle] }, browser] = await Promise.all([
    build({
      stdin: { contents: 'export * from "./index.ts"; export * from "./passkeys.ts"', resolveDir: folder, loader: 'ts' },
      bundle: true,
      format: 'iife',
      globalName: 'lib',
      write: false
    }),
    chromium.launch(BROWSER)
  ])
  t.teardown(() => browser.close())
  const server = createServer((request, response) => {
    const isScript = request.url === '/client.js'
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
      .end(isScript ? bundle?.text : '<!doctype html><title>App</title><script src="/client.js"></script><button>Go</button>')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const { port } = server.address() as AddressInfo
  const service = await startService(t, {
    JWT_SESSION_CLAIM: 'sid',
    PASSKEY_RP_ID: 'localhost',
    PASSKEY_ORIGINS: `http://localhost:${port}`,
    CORS_ORIGINS: `http://localhost:${port},http://127.0.0.1:${port}`,
    ...env
  })
  const visit: Stage['visit'] = async (user, { host = 'localhost', script = '', context } = {}) => {
    const page = await (await browser.newContext(context)).newPage()
    await page.addInitScript(script)
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('WebAuthn.enable', { enableUI: false })
    const addDevice = async (transport: string): Promise<Device> => await deviceOf(cdp, transport)
    const device = await addDevice('internal')
    let log: string[] = []
    page.on('request', request => {
      if (request.url().startsWith(service.url)) log.push(`${request.method()} ${new URL(request.url()).pathname}`)
    })
    await page.goto(`http://${host}:${port}/`)
    const options = JSON.stringify({ baseUrl: service.url })
    await page.evaluate(`mfa = lib.createMfaClient({ ...${options}, getToken: () => ${JSON.stringify(user.token())} })`)
    return {
      page,
      device,
      addDevice,
      sent: () => {
        const lines = log
        log = []
        return lines
      },
      run: async expression =>
        await page.evaluate(`(async () => (${expression}))().catch(({ name, message, reason, problem }) => ({ name, message, reason, code: problem?.code }))`)
    }
  }
  return { service, port, visit }
}

async function deviceOf (cdp: CDPSession, transport: string): Promise<Device> {
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: transport as 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true
    }
  })
  return {
    credentials: async () =>
      (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials.map(({ credentialId }) =>
        Buffer.from(credentialId, 'base64').toString('base64url')),
    setVerified: async isUserVerified => { await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }) },
    setPresent: async enabled => { await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }) }
  }
}
