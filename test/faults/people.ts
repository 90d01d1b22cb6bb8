// People with secrets of their own, who do what people and attackers do.
import { randomInt } from 'node:crypto'
import { codeAt, stepAt } from '../../src/factors/totp/totp.ts'
import { AUDIENCE, fromBase32, ISSUER, signToken } from '../helpers/service.ts'
import type { Answer, Call, Driver } from './driver.ts'

const ROLES = ['user', 'guesser', 'guest', 'recoverer'] as const
/** Below what locks, by the settings of the stage. */
const MOST_WRONG = 90

export class Person {
  #secret: Buffer = Buffer.alloc(0)
  #lastStep = 0
  #wrong = 0
  #logins = 0
  #recoveryCodes: string[] = []
  #usedRecoveryCode: string | undefined
  /** MFA tokens that no longer count, and since when. */
  #ended: Array<{ token: string, since: number }> = []
  #token = ''
  constructor (readonly name: string, readonly tenant: string, readonly role: typeof ROLES[number] | 'administrator') {}

  /** Of a login just now. */
  #login (): string {
    const now = Math.floor(Date.now() / 1000)
    const sid = `${this.name}-${this.#logins}`
    const roles = this.role === 'administrator' ? ['mfa:admin'] : undefined
    const times = { iat: now, auth_time: now, exp: now + 900 }
    return signToken({ iss: ISSUER, aud: AUDIENCE, sub: this.name, tenant: this.tenant, amr: ['pwd'], sid, roles, ...times })
  }

  async enroll (driver: Driver): Promise<void> {
    const token = this.#login()
    const started = await driver.ask({ kind: 'status', method: 'POST', path: '/mfa/enroll', token, body: {} })
    this.#secret = fromBase32(started.body.secret as string)
    this.#lastStep = stepAt(new Date())
    const body = { factorId: started.body.factorId, code: codeAt(this.#secret, this.#lastStep) }
    const { status, body: confirmed } = await driver.ask({ kind: 'status', method: 'POST', path: '/mfa/enroll/confirm', token, body })
    if (status !== 200) throw new Error(`${this.name} is not enrolled: ${status} ${JSON.stringify(confirmed)}`)
    this.#recoveryCodes = confirmed.recoveryCodes
    this.#token = confirmed.token
  }

  /** The next thing that they do. */
  async act (driver: Driver): Promise<unknown> {
    if (this.role === 'administrator' && this.#token !== '') return await this.#export(driver)
    if (this.#hasFreshCode && randomInt(2) === 0) return await this.#verify(driver)
    const ended = this.#ended.at(-1)
    if (ended !== undefined && randomInt(2) === 0) {
      const { token, since: deadSince } = ended
      return await this.#ask(driver, { kind: 'ended', method: 'GET', path: '/mfa/authorize?acr=mfa', token, deadSince })
    }
    if (this.role === 'guesser' && this.#wrong < MOST_WRONG && randomInt(3) === 0) return await this.#guess(driver)
    if (this.role === 'recoverer' && randomInt(8) === 0) return await this.#recover(driver)
    if (randomInt(3) === 0) return await this.#code(driver, this.#lastStep)
    return await this.#ask(driver, { kind: 'status', method: 'GET', path: '/mfa/status' })
  }

  #ask (driver: Driver, call: Omit<Call, 'token'> & { token?: string }, replica?: number): Promise<Answer> {
    return driver.ask({ token: this.#login(), ...call }, replica)
  }

  get #hasFreshCode (): boolean { return this.#nextStep <= stepAt(new Date()) + 1 }
  get #nextStep (): number { return Math.max(this.#lastStep + 1, stepAt(new Date())) }

  #code (driver: Driver, step: number, replica?: number): Promise<Answer> {
    const body = { code: codeAt(this.#secret, step) }
    return this.#ask(driver, { kind: 'code', method: 'POST', path: '/mfa/verify', body, key: `${this.name} ${step}` }, replica)
  }

  /** The same fresh code at every replica at once: one of them may take it. A guest's session ends soon after. */
  async #verify (driver: Driver): Promise<void> {
    const step = this.#lastStep = this.#nextStep
    const answers = await Promise.all(driver.replicas.map((_, index) => this.#code(driver, step, index)))
    const token = answers.find(({ status }) => status === 200)?.body.token as string | undefined
    if (token === undefined) return
    this.#token = token
    if (this.role === 'guest') await this.#leave(driver, token)
  }

  async #leave (driver: Driver, token: string): Promise<void> {
    await this.#ask(driver, { kind: 'authorize', method: 'GET', path: '/mfa/authorize?acr=mfa', token })
    const call = randomInt(2) === 0
      ? { kind: 'logout', method: 'DELETE', path: '/mfa/session' } as const
      : { kind: 'signout', method: 'DELETE', path: '/mfa/sessions', token } as const
    const { status } = await this.#ask(driver, call)
    if (status === 204) this.#ended.push({ token, since: Date.now() })
    this.#logins++
  }

  #guess (driver: Driver): Promise<Answer> {
    this.#wrong++
    const now = stepAt(new Date())
    const near = new Set(Array.from({ length: 21 }, (_, index) => codeAt(this.#secret, now + index - 10)))
    let code
    do code = String(randomInt(1_000_000)).padStart(6, '0'); while (near.has(code))
    return this.#ask(driver, { kind: 'wrong', method: 'POST', path: '/mfa/verify', body: { code } })
  }

  async #recover (driver: Driver): Promise<void> {
    const code = randomInt(3) === 0 ? this.#usedRecoveryCode : this.#recoveryCodes.pop()
    if (code === undefined) return await this.#renew(driver)
    this.#usedRecoveryCode = code
    await this.#ask(driver, { kind: 'recovery', method: 'POST', path: '/mfa/recovery', body: { code }, key: `${this.name} ${code}` })
  }

  async #renew (driver: Driver): Promise<void> {
    const { status, body } = await this.#ask(driver, { kind: 'codes', method: 'POST', path: '/mfa/recovery/codes', token: this.#token })
    if (status === 201) [this.#recoveryCodes, this.#usedRecoveryCode] = [body.recoveryCodes, undefined]
  }

  /** Seldom, as it reads all that there is; with a token that is made anew in between. */
  async #export (driver: Driver): Promise<void> {
    if (this.#hasFreshCode) await this.#verify(driver)
    const accept = 'application/x-ndjson'
    await this.#ask(driver, { kind: 'export', method: 'GET', path: '/admin/audit?limit=200', token: this.#token, accept })
  }
}

/** So many of each of two tenants, enrolled, and an administrator. */
export async function enrollPeople (driver: Driver, each: number): Promise<Person[]> {
  const people = ['acme', 'globex'].flatMap(tenant => [
    new Person(`${tenant}-administrator`, tenant, 'administrator'),
    ...Array.from({ length: each }, (_, index) =>
      new Person(`${tenant}-${index}`, tenant, ROLES[index % ROLES.length] as typeof ROLES[number]))
  ])
  for (const person of people) await person.enroll(driver)
  return people
}
