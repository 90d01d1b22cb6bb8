// Real gateways before a real application: processes of Debian's packages, on free ports, ended after the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDir } from './temporary.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export const EXAMPLES = join(import.meta.dirname, '../../examples/gateways')

/** The address of a proxy before the gateway, which it believes; everyone else comes from 127.0.0.1. */
export const OUTER = '127.0.0.2'
/** In which that proxy hands on its token. */
export const TOKEN_HEADER = 'X-Forwarded-Access-Token'
/** The origin whose pages may call the application, too. */
export const OTHER_ORIGIN = 'https://pages.example.com'

/**
 * What is behind the gateway, and where the gateway is to listen: `host:port` each. And whether the operator has filled in who is
 * before it, and whose pages may call (OUTER, OTHER_ORIGIN).
 */
export interface Addresses { listen: string, mfa: string, application: string, isFilledIn: boolean }

/** A directory that is gone after the test. */
export function gatewayDir (t: Teardown, purpose: string): string {
  const dir = temporaryDir(purpose)
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  return dir
}

/** The operator's own file, with other values in it. */
export function change (path: string, changes: Record<string, string>): void {
  let text = readFileSync(path, 'utf8')
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`${path} has no ${from}`)
    text = text.replace(from, () => to)
  }
  writeFileSync(path, text)
}

export async function freePort (): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** What arrived at the application. */
export interface Arrival {
  user: string | undefined
  method: string
  url: string
  headers: IncomingHttpHeaders
  names: string[]
  body: string
}

export interface Application { address: string, arrivals: Arrival[] }

const arrivalOf = ({ method, url, headers, rawHeaders }: IncomingMessage, body: string): Arrival => ({
  user: headers['x-mfa-user'] as string | undefined,
  method: method as string,
  url: url as string,
  headers,
  names: rawHeaders.filter((_, index) => index % 2 === 0),
  body
})

/**
 * An application that takes the user from `X-MFA-User` alone, without which it serves preflights only, and keeps what
 * arrived. It agrees to talk by any other protocol, and says then whatever it hears.
 */
export async function startApplication (t: Teardown): Promise<Application> {
  const arrivals: Arrival[] = []
  const server = createServer({ maxHeaderSize: 65536 }, (request, response) => {
    const hash = createHash('sha256')
    request.on('data', chunk => { hash.update(chunk) }).on('end', () => {
      const arrival = arrivalOf(request, hash.digest('hex'))
      arrivals.push(arrival)
      const { user } = arrival
      if (request.headers['access-control-request-method'] !== undefined) {
        return response.writeHead(204, { 'access-control-allow-origin': OTHER_ORIGIN }).end()
      }
      const isAnonymous = user === undefined || user === ''
      const status = isAnonymous ? 403 : Number(request.headers['x-please-answer'] ?? 200)
      const text = isAnonymous ? 'hello' : `hello ${user}`
      response.writeHead(status, { 'content-type': 'text/plain', 'content-length': text.length, 'x-application': 'yes' }).end(text)
    })
  }).listen(0, '127.0.0.1')
  const upgraded = new Set<Duplex>()
  server.on('upgrade', (request, socket) => {
    arrivals.push(arrivalOf(request, ''))
    upgraded.add(socket)
    socket.on('error', () => {}).on('close', () => upgraded.delete(socket))
    const accepted = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest(
      'base64'
    )
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\nSec-WebSocket-Accept: ` +
      `${accepted}\r\n\r\n`
    )
    socket.pipe(socket)
  })
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of upgraded) socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, arrivals }
}

/** Starts a gateway and waits until it listens there; the answer is what it has printed so far. It ends with this process. */
export async function startGateway (
  t: Teardown,
  listen: string,
  command: string,
  args: string[],
  env: Record<string, string> = {}
): Promise<() => string> {
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', command, ...args], {
    env: { PATH: `${process.env.PATH}:/usr/sbin`, CI_RUN_MARK: process.env.CI_RUN_MARK ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { output += String(chunk) })
  const ended = new Promise<string>(resolve => {
    child.once('error', error => {
      resolve(String(error))
    }).once('exit', code => {
      resolve(`exit ${code}`)
    })
  })
  t.teardown(() => stop(child, ended))
  let end: string | undefined
  void ended.then(text => { end = text })
  for (let i = 0; !await accepts(listen); i++) {
    if (end !== undefined || i > 400) throw new Error(`${command}: ${end ?? 'does not listen'}\n${output}`)
    await sleep(25)
  }
  return () => output
}

async function stop (child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM')
  const late = setTimeout(() => { child.kill('SIGKILL') }, 5000)
  await ended
  clearTimeout(late)
}

async function accepts (address: string): Promise<boolean> {
  const [host, port] = address.split(':') as [string, string]
  const socket = net.connect(Number(port), host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Debian's Caddy, with examples/gateways/Caddyfile as it is; the addresses are in the environment. */
export async function startCaddy (
  t: Teardown,
  { listen, mfa, application, isFilledIn }: Addresses,
  env: Record<string, string> = {}
): Promise<() => string> {
  const dir = gatewayDir(t, 'caddy')
  return await startGateway(t, listen, 'caddy', ['run', '--adapter', 'caddyfile', '--config', join(EXAMPLES, 'Caddyfile')], {
    // Without a host, so that it answers to each that a test forges.
    SITE: `http://:${listen.split(':')[1]}`,
    MFA_SERVICE: mfa,
    APPLICATION: application,
    ...(isFilledIn && { BEHIND: `${OUTER}/32`, ORIGINS: `https://other.example.com ${OTHER_ORIGIN}`, PASSKEY: '/payroll /payroll/*' }),
    CADDY_ADMIN: `unix//${dir}/admin.sock`,
    HOME: dir,
    XDG_CONFIG_HOME: dir,
    XDG_DATA_HOME: dir,
    ...env
  })
}
