import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { TokenRules } from '../config/config.ts'
import { registerAuth } from '../http/auth/auth.ts'
import { parseBearer, peek } from '../http/auth/bearer.ts'
import type { Caller } from '../http/auth/caller.ts'
import type { Claims, JwsHeader } from '../http/auth/claims.ts'
import { namesAudience, pickEntry, readCaller, readSubject, readTenant, readTimes } from '../http/auth/first-factor.ts'
import { issuedTokens } from '../http/auth/issued-tokens.ts'
import { entryOf, type Issuer, keySettingOf, settingOf } from '../http/auth/issuer.ts'
import { explain, type Refusal, refusalOf, RefusedToken, shown } from '../http/auth/refused-token.ts'
import { throughProxy } from '../http/auth/through-proxy.ts'
import { refuseOtherKind } from '../http/auth/token-kind.ts'
import { MAX_TOKEN_LENGTH } from '../http/head.ts'
import { UnavailableError } from '../platform/unavailable.ts'

/** `isOk` is undefined where it is not known: a key set that cannot be had. */
export interface Check { isOk: boolean | undefined, text: string, cause?: Refusal['cause'] }

export interface Report {
  /** What it is held against: an entry of the configuration, or our own keys. */
  entry: string | undefined
  issuer: Issuer | undefined
  checks: Check[]
  /** What the service answers, as far as it asks no database. */
  isAccepted: boolean
  /** Which user it names. Of a refused one: which it would name, if what can be put right were right. */
  caller: Caller | undefined
}

type Outcome<T> = { value: T } | { refusal: Refusal } | { trouble: UnavailableError }

/** What the service makes of a token, check by check. */
export async function inspectToken (token: string, rules: TokenRules, now: Date): Promise<Report> {
  const verdict = await outcomeOf(withRequest(token, app => authenticating(app, rules, now)))
  const isAccepted = 'value' in verdict
  const form = await outcomeOf((async () => peek(parseBearer(`Bearer ${token}`)))())
  const length = checkLength(token)
  if (!('value' in form)) {
    return { entry: undefined, issuer: undefined, checks: [length, toCheck(form, '')], isAccepted: false, caller: undefined }
  }
  const { header, payload } = form.value
  const caller = 'value' in verdict ? verdict.value : undefined
  const isOwn = payload.iss === rules.MFA_ISSUER
  const report = isOwn ? ownReport(verdict, caller) : await firstReport(token, header, payload, rules, now, caller)
  const checks = [length, ...report.checks]
  // The single checks do not show everything: the service decides.
  if (!isAccepted && checks.every(({ isOk }) => isOk === true)) checks.push(toCheck(verdict, ''))
  return { ...report, checks, isAccepted: isAccepted && length.isOk === true }
}

function checkLength ({ length }: string): Check {
  return length <= MAX_TOKEN_LENGTH
    ? { isOk: true, text: `it has ${length} characters` }
    : {
        isOk: false,
        text: `it has ${length} characters, and ${MAX_TOKEN_LENGTH} are read (431 token_too_large): let it name fewer groups or roles`
      }
}

function ownReport (verdict: Outcome<Caller>, caller: Caller | undefined): Omit<Report, 'isAccepted'> {
  return {
    entry: 'our own keys (MFA_SIGNING_KEYS)',
    issuer: undefined,
    checks: [toCheck(verdict, 'it is an MFA token of this service, and has not ended')],
    caller
  }
}

async function firstReport (
  token: string,
  header: JwsHeader,
  payload: Claims,
  rules: TokenRules,
  now: Date,
  caller: Caller | undefined
): Promise<Omit<Report, 'isAccepted'>> {
  const { ISSUERS } = rules
  const entries = ISSUERS.map(issuer => ({ issuer }))
  const picked = await outcomeOf((async () => pickEntry(payload, entries).issuer)())
  const issuer = 'value' in picked ? picked.value : likeliest(payload, ISSUERS)
  const checks = checkNames(picked, payload, issuer)
  if (issuer === undefined) return { entry: undefined, issuer, checks, caller }

  // The rest is asked as if issuer and audience were right: all that is wrong is told at once.
  const lenient = { ...issuer, issuer: String(payload.iss), audiences: namedAudiences(payload, issuer) }
  const signed = lenient.audiences.length === 0 || payload.iss === undefined
    ? undefined
    : await outcomeOf(withRequest(token, async app => {
      const [verify] = await issuedTokens(app, [lenient], () => issuer.key as string, throughProxy(rules))
      return async request => await (verify as NonNullable<typeof verify>)(request, header, token)
    }), payload)
  const nowSeconds = now.getTime() / 1000
  const times = await check(() => { readTimes(payload, issuer, nowSeconds) }, timesOf(payload, nowSeconds))
  checks.push(
    ...checkSignature(signed, header, issuer),
    await check(() => { refuseOtherKind(header, payload, issuer) }, `it is an ${issuer.tokenUse === 'id' ? 'ID' : 'access'} token`),
    signed !== undefined && 'refusal' in signed && signed.refusal.claim === 'nbf' ? toCheck(signed, '') : times,
    await check(() => { readSubject(payload, issuer) }, `${issuer.claims.subject.join('.')} names a user`),
    await check(() => { readTenant(payload, issuer) }, 'its tenant is one that the issuer speaks for')
  )
  return { entry: entryOf(issuer), issuer, checks, caller: caller ?? wouldBe(header, payload, issuer, now) }
}

/** Of issuers that do not fit: the one that is meant. */
function likeliest ({ iss }: Claims, issuers: readonly Issuer[]): Issuer | undefined {
  const bare = (name: unknown): string => String(name).toLowerCase().replace(/\/+$/, '')
  return issuers.find(({ issuer }) => issuer === iss) ?? issuers.find(({ issuer }) => bare(issuer) === bare(iss)) ??
    (issuers.length === 1 ? issuers[0] : undefined)
}

function checkNames (picked: Outcome<Issuer>, payload: Claims, issuer: Issuer | undefined): Check[] {
  const iss = { isOk: true, text: `iss is ${shown(payload.iss)}` }
  if (!('refusal' in picked)) return [iss, audienceCheck(payload, issuer as Issuer)]
  if (picked.refusal.cause !== 'issuer') return [iss, toCheck(picked, '')]
  return [toCheck(picked, ''), ...(issuer === undefined ? [] : [audienceCheck(payload, issuer)])]
}

function audienceCheck (payload: Claims, issuer: Issuer): Check {
  const { audienceClaim: claim, audiences: expected } = issuer
  const value = payload[claim]
  return namesAudience(payload, issuer)
    ? { isOk: true, text: `${claim} is ${shown(value)}` }
    : toCheck({ refusal: { cause: 'audience', claim, value, expected, setting: settingOf(issuer, 'audience') } }, '')
}

const namedAudiences = (payload: Claims, { audienceClaim }: Issuer): string[] =>
  [payload[audienceClaim]].flat().filter(each => typeof each === 'string')

/** What is wrong besides the signature is looked at after it, so that the signature is right then. */
function checkSignature (signed: Outcome<Claims> | undefined, header: JwsHeader, issuer: Issuer): Check[] {
  if (signed === undefined) return [{ isOk: undefined, text: 'its signature is not looked at, as it names no issuer or no audience' }]
  const algorithm = { isOk: true, text: `alg is ${shown(header.alg)}` }
  if ('trouble' in signed) {
    return [algorithm, {
      isOk: undefined,
      text: `${signed.trouble.message} (${keySettingOf(issuer)}): ${(signed.trouble.cause as Error).message}`
    }]
  }
  if ('refusal' in signed && signed.refusal.cause === 'algorithm') return [toCheck(signed, '')]
  if ('refusal' in signed && ['key', 'signature', 'malformed'].includes(signed.refusal.cause)) return [algorithm, toCheck(signed, '')]
  return [algorithm, {
    isOk: true,
    text: `it is signed by ${header.kid === undefined ? 'a key' : `the key ${shown(header.kid)}`} of its issuer (${keySettingOf(issuer)})`
  }]
}

/** Most tokens that an operator looks at have ended: it is read as of its last second. */
function wouldBe (header: JwsHeader, payload: Claims, issuer: Issuer, now: Date): Caller | undefined {
  const exp = typeof payload.exp === 'number' ? payload.exp * 1000 : Infinity
  try { return readCaller(header, payload, issuer, new Date(Math.min(now.getTime(), exp - 1000))) } catch { return undefined }
}

function timesOf ({ iat, exp }: Claims, now: number): string {
  const left = Number(exp) - now
  return `it is good for ${duration(left)} yet${typeof iat === 'number' ? `, of ${duration(Number(exp) - iat)}` : ''}`
}

/** About how long, in the largest unit that says enough. */
export function duration (seconds: number): string {
  const units: Array<[number, string]> = [[86_400, 'days'], [3600, 'hours'], [60, 'minutes']]
  const [size, name] = units.find(([size]) => Math.abs(seconds) >= 2 * size) ?? [1, 'seconds']
  return `${Math.round(seconds / size)} ${name}`
}

async function check (work: () => void, text: string): Promise<Check> {
  return toCheck(await outcomeOf((async () => { work() })()), text)
}

function toCheck (outcome: Outcome<unknown>, text: string): Check {
  if ('refusal' in outcome) return { isOk: false, text: explain(outcome.refusal), cause: outcome.refusal.cause }
  return 'trouble' in outcome ? { isOk: undefined, text: outcome.trouble.message } : { isOk: true, text }
}

async function outcomeOf<T> (work: Promise<T>, payload: Claims = {}): Promise<Outcome<T>> {
  try {
    return { value: await work }
  } catch (error) {
    if (error instanceof RefusedToken) return { refusal: error.refusal }
    if (error instanceof UnavailableError) return { trouble: error }
    const refusal = refusalOf(error)
    return { refusal: { value: payload[String(refusal.claim)], ...refusal } }
  }
}

/** The checks of the service read a request: it is made, and goes nowhere. */
async function withRequest<T> (
  token: string,
  prepare: (app: FastifyInstance) => Promise<(request: FastifyRequest) => Promise<T>>
): Promise<T> {
  const app = Fastify() as unknown as FastifyInstance
  const answer = await prepare(app)
  return await new Promise<T>((resolve, reject) => {
    app.get('/', async request => {
      await answer(request).then(resolve, reject)
      return ''
    })
    void app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } }).then(() => app.close())
  })
}

async function authenticating (app: FastifyInstance, rules: TokenRules, now: Date): Promise<(request: FastifyRequest) => Promise<Caller>> {
  const { ISSUERS, MFA_ISSUER, MFA_AUDIENCE, MFA_SIGNING_KEYS = [] } = rules
  const { authenticate } = await registerAuth(app, {
    issuers: ISSUERS,
    trustedProxies: [],
    issuerSecret: index => ISSUERS[index]?.key as string,
    fetch: throughProxy(rules),
    own: { issuer: MFA_ISSUER, audience: MFA_AUDIENCE, keys: () => MFA_SIGNING_KEYS },
    clock: () => now
  })
  return authenticate
}
