// A page at localhost with the client in it, before a service at another origin; and a passkey's device that Chromium simulates.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { addDevice, BROWSER, type Device } from '../../../test/helpers/browser.ts'
import { type Service, startService, type User } from '../../../test/helpers/service.ts'

interface Test { teardown: (action: () => unknown) => unknown }

export interface Visit {
  page: Page
  /** `METHOD /path` of what was sent since the last time. */
  sent: () => string[]
  device: Device
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
    const device = await addDevice(page)
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
