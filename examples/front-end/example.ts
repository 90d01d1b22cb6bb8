import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'vite'
import { startDisposable } from '../../src/cli/disposable.ts'
import { startApplication } from './back-end/application.ts'
import { SSO_AUDIENCE, startProvider } from './back-end/provider.ts'

const HERE = import.meta.dirname

export interface Example { origin: string, stop: () => Promise<void> }

export interface ExampleOptions {
  /** Where the browser goes. */
  port: number
  /** The time of codes and logins, for tests that do not wait for the next code. */
  clock?: () => Date
  /** What the token of a log-in by password says instead, for tests. */
  say?: (claims: Record<string, unknown>) => Record<string, unknown>
}

/** All of it: the service with a database, the application with its two ways to sign in, the built pages, and nginx before them. */
export async function startExample ({ port, clock, say }: ExampleOptions): Promise<Example> {
  await refuseTaken(port)
  const origin = `http://localhost:${port}`
  const directory = mkdtempSync(join(tmpdir(), 'headless-mfa-example-'))
  chmodSync(directory, 0o755)
  const ends: Array<() => void | Promise<void>> = [() => { rmSync(directory, { recursive: true, force: true }) }]
  const stop = async (): Promise<void> => { for (const end of ends.splice(0).reverse()) await end() }
  try {
    const [mfaPort, applicationPort, providerPort] = [await freePort(), await freePort(), await freePort()]
    const tokenSecret = randomBytes(32).toString('base64url')
    const issuer = `${origin}/application`
    const provider = `http://127.0.0.1:${providerPort}`
    const client = { id: 'application', secret: randomBytes(24).toString('base64url'), redirectUri: `${origin}/auth/callback` }

    // Two issuers of one namespace: the same name is the same user, whichever way they came.
    const common = { namespace: 'example', tenant: 'example', sessionClaim: 'sid' }
    const issuers = [
      {
        ...common,
        issuer,
        audience: 'headless-mfa',
        secret: tokenSecret,
        algorithms: ['HS256'],
        loginType: 'local',
        grants: ['mfa:admin']
      },
      { ...common, issuer: provider, audience: SSO_AUDIENCE, jwksUrl: `${provider}/jwks`, algorithms: ['RS256'], loginType: 'sso' }
    ]
    const issuersFile = join(directory, 'issuers.json')
    writeFileSync(issuersFile, JSON.stringify(issuers), { mode: 0o600 })
    const starting = startDisposable({
      PORT: String(mfaPort),
      TRUSTED_ISSUERS_FILE: issuersFile,
      TRUSTED_PROXIES: '127.0.0.1/32',
      RETURN_HOSTS: `localhost:${port}`,
      LOGIN_PAGE_URL: `${origin}/sign-in`,
      VERIFY_PAGE_URL: `${origin}/second-factor/code`,
      ENROLL_PAGE_URL: `${origin}/second-factor/set-up`,
      TOTP_ISSUER_NAME: 'Example'
    }, clock)
    starting.catch(() => {}) // handled below, once the pages are built
    const pages = join(directory, 'pages')
    await build({ configFile: join(HERE, 'vite.config.ts'), root: HERE, logLevel: 'error', build: { outDir: pages } })
    const service = await starting
    service.ignoreSignals()
    ends.push(service.stop)
    ends.push((await startProvider(providerPort, client)).stop)
    ends.push(
      (await startApplication(applicationPort, {
        origin,
        provider,
        client,
        issuer,
        audience: 'headless-mfa',
        tokenSecret,
        ...(clock !== undefined && { now: clock }),
        ...(say !== undefined && { say })
      })).stop
    )
    ends.push(await startNginx(directory, port, { MFA: mfaPort, APPLICATION: applicationPort, PAGES: pages }))
    return { origin, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startNginx (directory: string, port: number, places: Record<string, string | number>): Promise<() => Promise<void>> {
  const values: Record<string, string | number> = {
    ...places,
    DIR: directory,
    PORT: port,
    GATEWAY: join(HERE, '../gateways/nginx'),
    USER: process.getuid?.() === 0 ? 'user root;' : ''
  }
  const file = join(directory, 'nginx.conf')
  writeFileSync(
    file,
    readFileSync(join(HERE, 'nginx.conf'), 'utf8').replace(/@([A-Z]+)@/g, (_, name: string) =>
      String(values[name]).replace(/["\\]/g, '\\$&'))
  )
  const child = spawn('nginx', ['-c', file, '-e', 'stderr'], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true
  })
  let stderr = ''
  child.stderr.on('data', chunk => { stderr += String(chunk) })
  let end: string | undefined
  const ended = new Promise<void>(resolve => {
    child.once('error', () => { end = 'nginx is not installed: apt-get install nginx-light'; resolve() })
    child.once('exit', code => { end = `nginx: exit ${code}\n${stderr}`; resolve() })
  })
  for (let i = 0; !await accepts(port); i++) {
    if (end !== undefined || i > 400) throw new Error(end ?? 'nginx does not listen')
    await sleep(25)
  }
  return async () => { child.kill('SIGTERM'); await ended }
}

/** Else what listens there already would be taken for nginx. @throws the system's error */
async function refuseTaken (port: number): Promise<void> {
  const server = net.createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  await new Promise(resolve => server.close(resolve))
}

async function accepts (port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  try { await once(socket, 'connect'); return true } catch { return false } finally { socket.destroy() }
}

async function freePort (): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
