// Replicas are restarted one after the other under load, behind nginx, behind HAProxy and with a client that keeps its connections to them:
// no request fails.
import { rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ownDatabase } from '../helpers/database.ts'
import { freePort, gatewayDir, startGateway } from '../helpers/gateways.ts'
import { exchange } from '../helpers/exchange.ts'
import { Replica } from '../helpers/replica-server.ts'
import { AUDIENCE, ISSUER, signToken, testEnvironment } from '../helpers/service.ts'
import { temporaryDir } from '../helpers/temporary.ts'
import { until } from '../helpers/until.ts'

const RESTARTS = 20
const PRE_STOP_SECONDS = 3

const { url: DATABASE_URL } = await ownDatabase(t)
const environment = { ...testEnvironment(), DATABASE_URL, PRE_STOP_SECONDS: String(PRE_STOP_SECONDS), LOG_LEVEL: 'warn' }
const token = (): string => {
  const now = Math.floor(Date.now() / 1000)
  return signToken({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', tenant: 'acme', iat: now, auth_time: now, exp: now + 900 })
}

interface Answer { status: number, text: string }

const ask = (agent: Agent, port: number, method: string, path: string, body?: string): Promise<Answer> =>
  exchange({ agent, port, method, path, headers: { authorization: `Bearer ${token()}` }, body })

/** Where a client sends its next request: of those that refuse the connection, to the other one. */
type Send = (method: string, path: string, body?: string) => Promise<Answer>

function bare (replicas: Replica[]): Send {
  const agents = replicas.map(() => new Agent({ keepAlive: true, maxSockets: 8 }))
  let turn = 0
  return async (method, path, body) => {
    const first = turn++
    for (let tries = 0; ; tries++) {
      const index = (first + tries) % replicas.length
      try {
        return await ask(agents[index] as Agent, (replicas[index] as Replica).port, method, path, body)
      } catch (error) {
        if ((error as { code?: string }).code !== 'ECONNREFUSED' || tries === replicas.length - 1) throw error
      }
    }
  }
}

function through (port: number): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  return (method, path, body) => ask(agent, port, method, path, body)
}

async function nginx (t: Test, replicas: Replica[]): Promise<Send> {
  const [dir, port] = [gatewayDir(t, 'rolling-nginx'), await freePort()]
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${dir}/${name};`)
  writeFileSync(`${dir}/nginx.conf`, `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
    events {}
    http {
      access_log off; ${paths.join(' ')}
      upstream mfa { ${replicas.map(({ port }) => `server 127.0.0.1:${port} max_fails=0;`).join(' ')} keepalive 16; }
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://mfa; proxy_http_version 1.1; proxy_set_header Connection ""; } }
    }`)
  await startGateway(t, `127.0.0.1:${port}`, 'nginx', ['-c', `${dir}/nginx.conf`, '-e', 'stderr'])
  return through(port)
}

/** @returns besides, whether it sends requests to each of them, as it says itself */
async function haproxy (t: Test, replicas: Replica[]): Promise<{ send: Send, usesAll: () => Promise<boolean> }> {
  const [dir, port] = [gatewayDir(t, 'rolling-haproxy'), await freePort()]
  const operator = `${dir}/operator.sock`
  writeFileSync(`${dir}/haproxy.cfg`, [
    'global', `  stats socket ${operator}`,
    // A check may take longer than the time between two: on a busy machine the one replica that is up would be taken for gone.
    'defaults',
    '  mode http',
    '  timeout connect 2s',
    '  timeout client 30s',
    '  timeout server 30s',
    '  timeout check 5s',
    '  option redispatch',
    'frontend public', `  bind 127.0.0.1:${port}`, '  default_backend mfa',
    'backend mfa', '  option httpchk GET /health/ready', '  http-reuse always',
    ...replicas.map(({ port }, index) => `  server r${index} 127.0.0.1:${port} check inter 500ms fall 3 rise 1`), ''
  ].join('\n'))
  await startGateway(t, `127.0.0.1:${port}`, 'haproxy', ['-f', `${dir}/haproxy.cfg`, '-db'])
  return {
    send: through(port),
    async usesAll () {
      const states = await textOf(connect(operator).end('show stat\n'))
      return replicas.every((_, index) =>
        states.split('\n').some(line => line.startsWith(`mfa,r${index},`) && line.split(',')[17] === 'UP')
      )
    }
  }
}

t.test('no request fails while replicas are restarted one after the other, twenty times', { timeout: 600_000 }, async t => {
  const dir = temporaryDir('rolling')
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  const replicas = await Promise.all(['a', 'b'].map(name => Replica.make(t, name, join(dir, `${name}.log`), 'src/server.ts')))
  await Promise.all(replicas.map(replica => replica.start(environment)))
  const balancer = await haproxy(t, replicas)
  const fronts = { bare: bare(replicas), nginx: await nginx(t, replicas), haproxy: balancer.send }
  const failures: string[] = []
  const counts: Record<string, number> = {}
  const over = new AbortController()
  const load = Object.entries(fronts).flatMap(([name, send]) => Array.from({ length: 4 }, async (_, index) => {
    while (!over.signal.aborted) {
      const [method, path, body] = index % 2 === 0 ? ['POST', '/mfa/verify', '{"code":"123456"}'] as const : ['GET', '/mfa/status'] as const
      await send(method, path, body).then(({ status, text }) => {
        counts[name] = (counts[name] ?? 0) + 1
        if (status !== (method === 'GET' ? 200 : 409)) failures.push(`${name}: ${method} ${status} ${text}`)
      }, (error: Error & { code?: string }) => { failures.push(`${name}: ${method} ${error.code ?? error.message}`) })
      await sleep(25)
    }
  }))
  for (let restart = 0; restart < RESTARTS; restart++) {
    const replica = replicas[restart % replicas.length] as Replica
    t.same(await replica.stop(), [0, null])
    await replica.start(environment)
    // The next one stops when the load balancer sends requests to this one again: what `minReadySeconds` is for on Kubernetes.
    await until(balancer.usesAll)
  }
  over.abort()
  await Promise.all(load)
  t.comment(JSON.stringify(counts))
  t.same(failures, [])
  for (const name of Object.keys(fronts)) t.ok((counts[name] as number) > 200, `${name} sent ${counts[name]} requests`)
})
