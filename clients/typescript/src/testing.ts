// For tests of what stands before the service: users with tokens and authenticators, without a browser or a phone.
import { createPasskey } from './authenticator.ts'
import { toText } from './bytes.ts'
import { createMfaClient, type MfaClient, type MfaClientOptions } from './client.ts'
import type { PasskeyVerifyAnswer } from './schema.ts'

/** Where the service is, and how the first-factor tokens that it accepts are signed: what `headless-mfa --test` prints. */
export interface TestingOptions {
  url: string
  /** The HS256 secret of the issuer. Only tests have it: it can sign in any user. */
  tokenSecret: string
  issuer: string
  audience: string
}

export interface UserOptions {
  /** Claims of the first-factor token besides: `roles`, `groups`, `accounts`, `amr`, `email` … */
  [claim: string]: unknown
}

export interface Enrolled {
  factorId: string
  /** Base32: what the QR code holds. */
  secret: string
  recoveryCodes: string[]
  /** The MFA token of this enrollment. */
  token: string
}

export interface PasskeyOptions {
  label?: string
  /** Of the page that makes and uses it. By default `http://localhost`, or `https://` and the domain of the passkeys. */
  origin?: string
}

/** Of a browser, as Playwright (`context.newCDPSession(page)`) and Puppeteer (`page.createCDPSession()`) have it. */
export interface DevTools { send: (method: any, parameters?: any) => Promise<any> }

export interface TestPasskey {
  factorId: string
  recoveryCodes: string[]
  /** The MFA token of this set-up. */
  token: string
  /** Answers a challenge, as the user would: afterwards the client has an MFA token, whose `acr` is `phr`. */
  prove: (mfa: MfaClient, asked?: { acr?: 'phr', audience?: string }) => Promise<PasskeyVerifyAnswer>
  /** Gives the passkey to Chromium, whose user then says yes to whatever page asks for it. */
  putInto: (browser: DevTools) => Promise<void>
}

export interface TestUser {
  readonly sub: string
  readonly tenant: string
  /** A first-factor token of a login just now. */
  token: (claims?: UserOptions) => Promise<string>
  /** A client for this user, of one login. */
  client: (options?: Partial<MfaClientOptions>) => Promise<MfaClient>
  /** Sets an authenticator up, as the user would; `code` knows it from then on. */
  enroll: (label?: string) => Promise<Enrolled>
  /** Sets a passkey up without a browser, beside an authenticator or without one. */
  passkey: (options?: PasskeyOptions) => Promise<TestPasskey>
  /** What the authenticator shows, and never a code twice: waits for the next one where this one was given out. */
  code: () => Promise<string>
}

export interface TestTenant {
  readonly name: string
  /** A user of this tenant. */
  user: (sub?: string, claims?: UserOptions) => TestUser
}

const PERIOD = 30
const seconds = (): number => Date.now() / 1000

// Web Crypto is in Node and in browsers, and not in React Native, where no such tests run.
interface Hmac {
  importKey: (format: 'raw', key: Uint8Array, algorithm: object, isExtractable: false, uses: ['sign']) => Promise<unknown>
  sign: (algorithm: 'HMAC', key: unknown, data: Uint8Array) => Promise<ArrayBuffer>
}
const platform = globalThis as unknown as {
  crypto: { subtle: Hmac, randomUUID: () => string },
  process?: { env: Record<string, string | undefined> },
  TextEncoder: new() => { encode: (text: string) => Uint8Array }
}

/**
 * Everything that a test needs of the service. Without options, what `headless-mfa --test -- COMMAND` has set in the environment.
 * Each `tenant()` is one of its own, with its own users and policy, so that tests run beside each other.
 */
export function createTesting (options: Partial<TestingOptions> = {}): { url: string, tenant: (name?: string) => TestTenant } {
  const given = (name: keyof TestingOptions, variable: string): string => {
    const value = options[name] ?? platform.process?.env[variable]
    if (value === undefined) {
      throw new Error(`${name} is missing, and so is ${variable}: run the tests by \`headless-mfa --test -- COMMAND\`.`)
    }
    return value
  }
  const url = given('url', 'MFA_TEST_URL')
  const tokenSecret = given('tokenSecret', 'MFA_TEST_TOKEN_SECRET')
  const fixed = { iss: given('issuer', 'MFA_TEST_ISSUER'), aud: given('audience', 'MFA_TEST_AUDIENCE') }
  const mint = (claims: object): Promise<string> => signToken({ ...fixed, ...claims }, tokenSecret)
  return {
    url,
    tenant: (name = `test-${platform.crypto.randomUUID()}`) => ({
      name,
      user: (sub = platform.crypto.randomUUID(), claims = {}) => createUser(url, mint, { sub, tenant: name, ...claims })
    })
  }
}

function createUser (
  url: string,
  mint: (claims: object) => Promise<string>,
  user: { sub: string, tenant: string } & UserOptions
): TestUser {
  let secret: string | undefined
  let given = 0
  /** The MFA token of the last set-up: with it the next one may begin. */
  let proved: string | undefined
  /** Each step after `from` that was not given out: the service takes this one's code, and one's of each side. */
  const next = async (from: number): Promise<string> => {
    if (secret === undefined) throw new Error(`${user.sub} has no authenticator yet: call enroll() first.`)
    given = Math.max(given + 1, from)
    const wait = (given - 1) * PERIOD - seconds()
    if (wait > 0) await new Promise<void>(resolve => setTimeout(resolve, wait * 1000 + 200))
    return await codeOf(secret, given)
  }
  const token = (claims: UserOptions = {}): Promise<string> => {
    const now = Math.floor(seconds())
    return mint({
      sid: platform.crypto.randomUUID(),
      amr: ['pwd'],
      accounts: ['local'],
      auth_time: now,
      iat: now,
      exp: now + 3600,
      ...user,
      ...claims
    })
  }
  const client = async (options: Partial<MfaClientOptions> = {}): Promise<MfaClient> => {
    const login = await token()
    return createMfaClient({ baseUrl: url, getToken: () => login, ...options })
  }
  const settingUp = async (): Promise<MfaClient> => {
    const bearer = proved
    return await client(bearer === undefined ? {} : { getToken: () => bearer })
  }
  return {
    sub: user.sub,
    tenant: user.tenant,
    token,
    client,
    enroll: async label => {
      const mfa = await settingUp()
      const started = await mfa.startEnrollment(label === undefined ? {} : { label })
      secret = started.secret
      given = 0
      // The code before this one, so that this one is left for the test; near a step's end it may be too old on arrival.
      const isLate = seconds() % PERIOD > PERIOD - 5
      const { factorId, recoveryCodes, token } = await mfa.confirmEnrollment({
        factorId: started.factorId,
        code: await next(step() - (isLate ? 0 : 1))
      })
      mfa.forget()
      proved = token
      return { factorId, secret, recoveryCodes: recoveryCodes ?? [], token }
    },
    passkey: async ({ label, origin } = {}) => {
      const mfa = await settingUp()
      const { factorId, options } = await mfa.startPasskey(label === undefined ? {} : { label })
      const { id } = options.rp
      const { registration, answer, credential } = await createPasskey(options, origin ?? `http${id === 'localhost' ? '' : 's'}://${id}`)
      const { recoveryCodes, token } = await mfa.confirmPasskey({ factorId, credential: registration })
      mfa.forget()
      proved = token
      return {
        factorId,
        recoveryCodes: recoveryCodes ?? [],
        token,
        prove: async (mfa, asked = {}) =>
          await mfa.verifyPasskey({ credential: await answer((await mfa.challengePasskey()).options), ...asked }),
        putInto: async browser => {
          await browser.send('WebAuthn.enable')
          const { authenticatorId } = await browser.send('WebAuthn.addVirtualAuthenticator', { options: DEVICE })
          await browser.send('WebAuthn.addCredential', { authenticatorId, credential: await credential() })
        }
      }
    },
    code: () => next(step())
  }
}

const DEVICE = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true
}

const step = (): number => Math.floor(seconds() / PERIOD)

/** The six digits of a secret (RFC 6238), now or at another step of thirty seconds. */
export async function codeOf (secret: string, at = step()): Promise<string> {
  const counter = new Uint8Array(8)
  for (let i = 7, rest = at; i >= 0; i--, rest = Math.floor(rest / 256)) counter[i] = rest % 256
  const mac = await hmac('SHA-1', fromBase32(secret), counter)
  const offset = mac[19]! & 15
  const number = ((mac[offset]! & 127) * 2 ** 24 + mac[offset + 1]! * 2 ** 16 + mac[offset + 2]! * 2 ** 8 + mac[offset + 3]!) % 1e6
  return String(number).padStart(6, '0')
}

function fromBase32 (text: string): Uint8Array {
  const bits = [...text.toUpperCase()].map(character => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(character).toString(2).padStart(5, '0'))
    .join('')
  return Uint8Array.from({ length: Math.floor(bits.length / 8) }, (_, i) => Number.parseInt(bits.slice(i * 8, i * 8 + 8), 2))
}

async function signToken (claims: object, secret: string): Promise<string> {
  const bytes = (text: string): Uint8Array => new platform.TextEncoder().encode(text)
  const signed = [{ alg: 'HS256', typ: 'JWT' }, claims].map(part => toText(bytes(JSON.stringify(part)))).join('.')
  return `${signed}.${toText(await hmac('SHA-256', bytes(secret), bytes(signed)))}`
}

async function hmac (hash: string, key: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
  const { subtle } = platform.crypto
  return new Uint8Array(await subtle.sign('HMAC', await subtle.importKey('raw', key, { name: 'HMAC', hash }, false, ['sign']), data))
}
