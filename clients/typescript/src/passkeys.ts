// Passkeys in a browser: what `navigator.credentials` and the service say to each other.
import { toBytes, toText } from './bytes.ts'
import type { MfaClient } from './client.ts'
import { MfaError } from './problem.ts'
import type {
  Factor,
  PasskeyAnswer,
  PasskeyChallenge,
  PasskeyConfirmAnswer,
  PasskeyConfirmRequest,
  PasskeyVerifyAnswer,
  PasskeyVerifyRequest,
  TokenAnswer
} from './schema.ts'

/**
 * Why there is no passkey, or no proof of one:
 * - `cancelled`: the user closed the window, or it took too long. Browsers do not say which
 * - `already_here`: this device has a passkey of the user
 * - `wrong_domain`: this page is not at the domain of the passkeys (PASSKEY_RP_ID)
 * - `unsupported`: this browser has no passkeys, or the page was not loaded by https
 * - `failed`: anything else, which is in `cause`
 */
export type PasskeyReason = 'cancelled' | 'already_here' | 'wrong_domain' | 'unsupported' | 'failed'

/** What the browser refused. What the service refused is an `MfaError`, as with any call. */
export class PasskeyError extends Error {
  override readonly name = 'PasskeyError'
  constructor (readonly reason: PasskeyReason, override readonly cause?: unknown) {
    super(`${reason}: ${String((cause as Error | undefined)?.message ?? 'needs a browser with passkeys, and https or localhost')}`)
  }
}

const REASONS: Record<string, PasskeyReason> = {
  NotAllowedError: 'cancelled',
  InvalidStateError: 'already_here',
  SecurityError: 'wrong_domain'
}

/** Of a browser, as much as is used here. Where there is none of it, `isSupported` is false. */
interface Credential {
  id: string
  type: string
  response: { getTransports?: () => string[] } & Partial<Record<typeof BYTES[number], ArrayBuffer | null>>
  toJSON: () => object
}
type Ceremony = (options: { publicKey: object, signal: AbortSignal | undefined }) => Promise<Credential>
interface Browser {
  PublicKeyCredential?: {
    parseCreationOptionsFromJSON?: (options: object) => object
    parseRequestOptionsFromJSON?: (options: object) => object
    signalUnknownCredential?: (which: { rpId: string, credentialId: string }) => Promise<void>
    signalAllAcceptedCredentials?: (which: { rpId: string, userId: string, allAcceptedCredentialIds: string[] }) => Promise<void>
  }
  navigator?: { credentials?: { create: Ceremony, get: Ceremony } }
}
const browser = globalThis as unknown as Browser

/** Can this browser make and use passkeys? Show their buttons only then. */
export const isSupported = (): boolean => browser.PublicKeyCredential !== undefined && browser.navigator?.credentials !== undefined

export interface RegisterOptions {
  /** What the user calls it. Without one it is called as what keeps it, such as "iCloud Keychain". */
  label?: string
  /** The token is for this application. */
  audience?: string
  signal?: AbortSignal
}

/**
 * Sets a passkey up: call it straight from the click. With the first factor the answer has the recovery codes, once.
 * @throws PasskeyError, or MfaError as `startPasskey` and `confirmPasskey` do
 */
export async function registerPasskey (mfa: MfaClient, { label, audience, signal }: RegisterOptions = {}): Promise<PasskeyConfirmAnswer> {
  const call = signal && { signal }
  if (!isSupported()) throw new PasskeyError('unsupported')
  const { factorId, options } = await mfa.startPasskey(label === undefined ? {} : { label }, call)
  const credential = await ask<PasskeyConfirmRequest>('create', options, signal)
  try {
    return await handOver(() => mfa.confirmPasskey({ factorId, credential, ...(audience !== undefined && { audience }) }, call))
  } catch (error) {
    // What keeps the new passkey may delete it again; not where the service may have taken it all the same.
    if (error instanceof MfaError && !['outcome_unknown', 'unreachable', 'internal'].includes(error.problem.code)) {
      await browser.PublicKeyCredential?.signalUnknownCredential?.({ rpId: options.rp.id, credentialId: credential.id }).catch(() => {})
    }
    throw error
  }
}

export interface ProveOptions {
  /** Only a passkey counts, and the token says so: hand on what `onStepUp` was given. */
  acr?: 'phr' | undefined
  /** The token is for this application. */
  audience?: string
  /** What `prepare` gave, so that the browser asks straight from the click. */
  prepared?: Prepared
  signal?: AbortSignal
}

/**
 * Proves a passkey: the second factor, by a finger, a face or a PIN.
 * @throws PasskeyError, or MfaError as `challengePasskey` and `verifyPasskey` do
 */
export async function provePasskey (
  mfa: MfaClient,
  { acr, audience, prepared, signal }: ProveOptions = {}
): Promise<PasskeyVerifyAnswer> {
  const call = signal && { signal }
  if (!isSupported()) throw new PasskeyError('unsupported')
  const { options } = await (prepared?.challenge() ?? mfa.challengePasskey({}, call))
  const credential = await ask<PasskeyVerifyRequest>('get', options, signal)
  // It counts once. A user who closed the window may answer the same one again.
  prepared?.drop()
  try {
    return await handOver(() =>
      mfa.verifyPasskey({ credential, ...(acr !== undefined && { acr }), ...(audience !== undefined && { audience }) }, call))
  } catch (error) {
    prepared?.renew()
    throw error
  }
}

const PATIENCE_SECONDS = 5

/** Where the service is busy nothing was accepted, and the same answer is good a moment later: the user is not asked again. */
async function handOver<T> (call: () => Promise<T>, tries = 3): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const problem = error instanceof MfaError ? error.problem : undefined
    if (tries === 1 || problem?.code !== 'unavailable' || problem.retryAfter > PATIENCE_SECONDS) throw error
    await new Promise<void>(resolve => { setTimeout(resolve, problem.retryAfter * 1000) })
    return await handOver(call, tries - 1)
  }
}

const RENEW_MS = 240_000
/** A challenge lives five minutes. A computer that slept wakes up with an older one. */
const TOO_OLD_MS = 290_000

/** A challenge that is there before the click. Hand it to `provePasskey`, and stop it when the page needs none any more. */
export interface Prepared {
  /** The one to answer now. */
  challenge: () => Promise<PasskeyChallenge>
  /** That one was answered. */
  drop: () => void
  /** Fetches another at once. */
  renew: () => void
  stop: () => void
}

/**
 * Fetches a challenge ahead, and another every four minutes. Call it when the page is shown: Safari asks the user for nothing if
 * the page had to wait for the network after the click.
 */
export function prepare (mfa: MfaClient): Prepared {
  let held: { challenge: Promise<PasskeyChallenge>, fetchedAt: number } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isStopped = false
  const fetch = (): Promise<PasskeyChallenge> => {
    const challenge = mfa.challengePasskey()
    const fetched = held = { challenge, fetchedAt: Date.now() }
    // A refusal is told to the click, which tries again.
    challenge.catch(() => { if (held === fetched) held = undefined })
    clearTimeout(timer)
    if (!isStopped) timer = setTimeout(() => { void fetch() }, RENEW_MS)
    return challenge
  }
  void fetch()
  return {
    challenge: () => held !== undefined && Date.now() - held.fetchedAt < TOO_OLD_MS ? held.challenge : fetch(),
    drop: () => { held = undefined },
    renew: () => { if (!isStopped) void fetch() },
    stop: () => {
      isStopped = true
      clearTimeout(timer)
    }
  }
}

/**
 * Removes a passkey as `removeFactor` does. Then it tells the browser which ones the user has left, so that it offers no dead one.
 * @throws MfaError as `removeFactor` does
 */
export async function removePasskey (
  mfa: MfaClient,
  { id, passkey }: Pick<Factor, 'id' | 'passkey'>
): Promise<TokenAnswer | undefined> {
  const answer = await mfa.removeFactor(id)
  const rpId = passkey?.rpId as string
  if (browser.PublicKeyCredential?.signalAllAcceptedCredentials === undefined) return answer
  try {
    const { userId, factors } = await mfa.getStatus()
    await browser.PublicKeyCredential.signalAllAcceptedCredentials({
      rpId,
      // As it is at the authenticator: the bytes of the uuid.
      userId: toText(Uint8Array.from(userId.replaceAll('-', '').match(/../g) ?? [], byte => Number.parseInt(byte, 16))),
      allAcceptedCredentialIds: factors.flatMap(({ passkey }) => passkey?.rpId === rpId ? passkey.credentialId ?? [] : [])
    })
  } catch {
    // It is removed. That the browser goes on to offer it is a nuisance, and no more.
  }
  return answer
}

type Options = PasskeyAnswer['options'] | PasskeyChallenge['options']

/** What the user's passkey answers, as JSON. */
async function ask<Request extends { credential: object }> (
  ceremony: 'create' | 'get',
  options: Options,
  signal: AbortSignal | undefined
): Promise<Request['credential']> {
  const { PublicKeyCredential: native, navigator } = browser as { [name in keyof Browser]-?: NonNullable<Browser[name]> }
  const parse = ceremony === 'create' ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'
  try {
    const publicKey = native[parse]?.(options) ?? toOptions(options)
    return toJson(await (navigator.credentials as Record<string, Ceremony>)[ceremony]!({ publicKey, signal }))
  } catch (error) {
    if (signal?.aborted === true) throw error
    throw new PasskeyError(REASONS[(error as Error).name] ?? 'failed', error)
  }
}

// By hand, for browsers that know no JSON of passkeys, and for password managers that put objects of their own into their place.

type Id = { id: string }
const withBytes = <T extends Id>(named: T) => ({ ...named, id: toBytes(named.id) })

const toOptions = (options: Options & { user?: Id, excludeCredentials?: Id[], allowCredentials?: Id[] }): object => ({
  ...options,
  challenge: toBytes(options.challenge),
  ...(options.user && { user: withBytes(options.user) }),
  ...(options.excludeCredentials && { excludeCredentials: options.excludeCredentials.map(withBytes) }),
  ...(options.allowCredentials && { allowCredentials: options.allowCredentials.map(withBytes) })
})

const BYTES = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'] as const

function toJson (credential: Credential): any {
  try { return credential.toJSON() } catch {}
  const { id, type, response } = credential
  const bytes = BYTES.flatMap(name => response[name] == null ? [] : [[name, toText(new Uint8Array(response[name]))]])
  const transports = response.getTransports?.()
  return { id, type, response: { ...Object.fromEntries(bytes), ...(transports && { transports }) } }
}
