// One running service, over real HTTP, on the shared database; and the users of one tenant, which each test owns.
import sql from 'sql-template-tag'
import { type Dispatcher, request } from 'undici'
import { createPrivateKey, createSecretKey, generateKeyPairSync, randomBytes, randomUUID, sign as signBytes, createHmac } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { createApp } from '../../src/app.ts'
import { type Config, readConfig } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { AuditMemory } from '../../src/audit/memory.ts'
import { ClockSkew } from '../../src/platform/clock-skew.ts'
import { codeAt, stepAt } from '../../src/factors/totp/totp.ts'
import { FactorKinds } from '../../src/factors/registry.ts'
import { connect, type Database } from '../../src/platform/db/client.ts'
import { databaseUrl, pooled } from './database.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export const ISSUER = 'https://id.test'
export const AUDIENCE = 'mfa'
export const OWN_ISSUER = 'https://mfa.test'

const base64 = (): string => randomBytes(32).toString('base64')

/** Keys of the test run; a test that needs others gives them in `env`. */
export const SECRET = randomBytes(48).toString('base64url')
export const signingKey = (kid = 'test-1', type: 'ec' | 'ed25519' = 'ec'): Record<string, unknown> => ({
  ...(type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519')).privateKey.export({
    format: 'jwk'
  }),
  kid
})

export const testEnvironment = (): Record<string, string> => ({
  NODE_ENV: 'test',
  HOST: '127.0.0.1',
  PORT: '0',
  DATABASE_URL: databaseUrl(),
  JWT_ISSUER: ISSUER,
  JWT_AUDIENCE: AUDIENCE,
  JWT_SECRET: SECRET,
  MFA_ISSUER: OWN_ISSUER,
  MFA_AUDIENCE: 'mfa-own',
  MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey()] }),
  MFA_ENCRYPTION_KEYS: `k1:${base64()}`,
  MFA_PEPPERS: `p1:${base64()}`,
  // before.ts says why.
  BCRYPT_COST: '4',
  // Several administrators of a test's tenant enroll by themselves; mfa/code-rule.test.ts tests the default.
  ENROLL_REQUIRES_CODE: 'never',
  RATE_LIMIT_PER_MINUTE: '0',
  LOG_LEVEL: 'trace'
})

/** Stands still until it is moved, five seconds into a time step: no test depends on when it runs. */
export class TestClock {
  #now = Math.floor(Date.now() / 30_000) * 30_000 + 5000
  read = (): Date => new Date(this.#now)
  get seconds (): number { return Math.floor(this.#now / 1000) }
  advance (seconds: number): void { this.#now += seconds * 1000 }
  /** The code of a secret, `offset` steps from now. */
  code (secret: string, offset = 0): string { return codeAt(fromBase32(secret), stepAt(this.read()) + offset) }
  /** Six digits that no step within ten minutes has. */
  wrongCode (secret: string): string {
    const near = new Set(Array.from({ length: 41 }, (_, index) => this.code(secret, index - 20)))
    let code = 0
    while (near.has(String(code).padStart(6, '0'))) code++
    return String(code).padStart(6, '0')
  }
}

export interface Answer<T = any> { status: number, headers: Headers, body: T, text: string }

export interface Call { token?: string | undefined, body?: unknown, headers?: Record<string, string> }

export interface Service {
  app: FastifyInstance
  db: Database
  /** What this replica knows of the audit. */
  memory: AuditMemory
  config: Config
  /** The keys as they are now. */
  secrets: Secrets
  env: Record<string, string>
  clock: TestClock
  url: string
  /** Lines of the log so far. */
  log: string[]
  call: <T = any>(method: string, path: string, call?: Call) => Promise<Answer<T>>
  /** A new user of a tenant of their own, or of the one given. */
  user: (options?: Partial<Claims>) => User
}

/** What a test has to itself of a service that others use before and after it. */
export interface Own { clock: TestClock, log: string[] }

export type Running = Omit<Service, keyof Own | 'user'>

/** A service of its own process-wide state, closed after the test. Most tests need none to themselves: `useService` is for them. */
export async function startService (
  t: Teardown,
  env: Record<string, string | undefined> = {},
  clock = new TestClock(),
  areKeysProved = true,
  skew = new ClockSkew(),
  kinds = new FactorKinds()
): Promise<Service> {
  const own = { clock, log: [] }
  return ofTest(await runService(t, () => own, env, areKeysProved, skew, kinds), own)
}

/** @param own whose clock it goes by, and where it logs, at the moment */
export async function runService (
  t: Teardown,
  own: () => Own,
  env: Record<string, string | undefined>,
  areKeysProved = true,
  skew = new ClockSkew(),
  kinds = new FactorKinds()
): Promise<Running> {
  const merged = Object.fromEntries(
    Object.entries({ ...testEnvironment(), ...env }).filter((entry): entry is [string, string] => entry[1] !== undefined)
  )
  if (merged.DATABASE_URL !== undefined) merged.DATABASE_URL = pooled(merged.DATABASE_URL)
  const config = readConfig(merged)
  const secrets = new Secrets(config, areKeysProved)
  const db = connect(() => secrets.databaseUrl as string, 10)
  const memory = new AuditMemory()
  const app = await createApp({
    config,
    secrets,
    db,
    kinds,
    memory,
    skew,
    clock: () => own().clock.read(),
    logStream: {
      write: line => {
        own().log.push(line)
      }
    }
  })
  t.teardown(async () => {
    await app.close()
    await db.close()
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, db, memory, config, secrets, env: merged, url, call: callTo(url) }
}

export function ofTest (running: Running, own: Own): Service {
  const service: Service = { ...running, ...own, user: options => new User(service, options) }
  return service
}

/** Real HTTP to one replica, by what takes a fifth of the time of `fetch`. */
export const callTo = (url: string): Service['call'] => async (method, path, { token, body, headers } = {}) => {
  const response = await request(url + path, {
    method: method as Dispatcher.HttpMethod,
    headers: {
      accept: '*/*',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) })
  })
  const text = await response.body.text()
  const answered = new Headers()
  for (const [name, values] of Object.entries(response.headers)) for (const value of [values].flat()) answered.append(name, value as string)
  const isJson = /json/.test(answered.get('content-type') ?? '')
  return { status: response.statusCode, headers: answered, text, body: isJson ? JSON.parse(text) : undefined }
}

/** Once a busy machine has time for it: a 503 says that nothing happened, and that the call may be repeated. */
export async function inTime (call: () => Promise<Answer>, tries = 5): Promise<Answer> {
  const answer = await call()
  return answer.status === 503 && tries > 1 ? await inTime(call, tries - 1) : answer
}

export interface Claims {
  sub: string
  tenant: string
  roles: string[]
  groups: string[]
  accounts: string[]
  amr: string[]
  sid: string
  auth_time: number
  iat: number
  exp: number
  [name: string]: unknown
}

export interface Enrolled { factorId: string, secret: string, recoveryCodes: string[] | null, token: string }

/** A user with a first factor. */
export class User {
  readonly sub: string
  readonly tenant: string
  constructor (readonly service: Service, readonly options: Partial<Claims> = {}) {
    this.sub = options.sub ?? `user-${randomUUID()}`
    this.tenant = options.tenant ?? `tenant-${randomUUID()}`
  }

  /** A first-factor token, of a login that was just now unless the claims say otherwise. `undefined` leaves a claim out. */
  token (claims: Record<string, unknown> = {}): string {
    const now = this.service.clock.seconds
    return signToken({
      iss: ISSUER,
      aud: AUDIENCE,
      amr: ['pwd'],
      auth_time: now,
      iat: now,
      exp: now + 900,
      ...this.options,
      sub: this.sub,
      tenant: this.tenant,
      ...claims
    })
  }

  call (method: string, path: string, body?: unknown, token = this.token()): Promise<Answer> {
    return this.service.call(method, path, { token, body })
  }

  /** Enrolls and confirms; then moves the clock one step on, so that the next code is good. */
  async enroll (token = this.token(), label?: string): Promise<Enrolled> {
    const { clock } = this.service
    const started = await this.call('POST', '/mfa/enroll', label === undefined ? {} : { label }, token)
    if (started.status !== 201) throw new Error(`enroll: ${started.text}`)
    const { factorId, secret } = started.body as { factorId: string, secret: string }
    const confirmed = await this.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) }, token)
    if (confirmed.status !== 200) throw new Error(`confirm: ${confirmed.text}`)
    clock.advance(30)
    return { factorId, secret, recoveryCodes: confirmed.body.recoveryCodes, token: confirmed.body.token }
  }

  /** A fresh MFA token by TOTP; moves the clock one step on. */
  async verify (secret: string): Promise<string> {
    const { clock } = this.service
    const answer = await this.call('POST', '/mfa/verify', { code: clock.code(secret) })
    if (answer.status !== 200) throw new Error(`verify: ${answer.text}`)
    clock.advance(30)
    return answer.body.token
  }

  /** The one row of `users`. */
  async row (): Promise<{ id: string, epoch: number, revision: number }> {
    const [row] = await this.service.db.rows<
      { id: string, epoch: number, revision: number }
    >`SELECT id::text, epoch, revision FROM users WHERE tenant = ${this.tenant} AND subject = ${this.sub}`
    if (row === undefined) throw new Error('no such user')
    return row
  }

  /** Audit events of the tenant, oldest first. */
  events (): Promise<
    Array<
      {
        action: string,
        outcome: string,
        actor: string,
        subject: string,
        factor_kind: string,
        address: string,
        request_id: string,
        details: any,
        at: Date
      }
    >
  > {
    return this.service.db.rows`SELECT * FROM audit_events WHERE tenant = ${this.tenant} ORDER BY at, id`
  }

  async throttle (
    kind: 'totp' | 'enroll' | 'renew'
  ): Promise<{ failures: number, tries: number, wait_until: Date | null, locked_at: Date | null, recent: Date[] }> {
    const [row] = await this.service.db.rows<any>`SELECT t.* FROM throttles t JOIN users u ON u.tenant = t.tenant AND u.id = t.user_id
      WHERE t.tenant = ${this.tenant} AND u.subject = ${this.sub} AND t.kind = ${kind}`
    return row
  }

  /** Lets the present wait be over, as time would (the waits are the database's time). */
  async endWait (kind: 'totp' | 'enroll' | 'renew' = 'totp'): Promise<void> {
    await this.service.db.rows`UPDATE throttles SET wait_until = NULL WHERE tenant = ${this.tenant} AND kind = ${kind}`
  }
}

/** After rows of users were written by SQL: what the service's own statements count, they do not. */
export const recount = (db: Database, tenant: string): Promise<unknown> => db.settle('recount_users', sql`${tenant}`)

/** Any claims, signed as the issuer would; `undefined` claims are left out. */
export function signToken (claims: Record<string, unknown>, header: Record<string, unknown> = {}, secret = SECRET): string {
  const input = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', createSecretKey(Buffer.from(secret))).update(input).digest('base64url')}`
}

/** The same with an asymmetric key (JWK). */
export function signWithKey (claims: Record<string, unknown>, jwk: Record<string, unknown>, header: Record<string, unknown>): string {
  const input = `${encode({ typ: 'JWT', ...header })}.${encode(claims)}`
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' })
  const algorithm = jwk.kty === 'OKP' ? null : 'sha256'
  return `${input}.${signBytes(algorithm, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

export const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Claims of a token, unverified. */
export const claimsOf = (token: string): any => JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString())
export const headerOf = (token: string): any => JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString())

export function fromBase32 (text: string): Buffer {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...text].map(character => alphabet.indexOf(character).toString(2).padStart(5, '0')).join('')
  return Buffer.from((bits.match(/.{8}/g) as string[]).map(byte => parseInt(byte, 2)))
}
