// Users who set up and use passkeys, over HTTP.
import { Authenticator, type CredentialJson, type Traits } from './authenticator.ts'
import type { Answer, User } from './service.ts'

// Loaded at first use: a busy machine takes longer for it than a call may last.
await Promise.all([import('@simplewebauthn/server'), import('@simplewebauthn/server/helpers')])

export const PASSKEYS = { PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGINS: 'https://app.example.com' }

export interface EnrolledPasskey {
  authenticator: Authenticator
  factorId: string
  recoveryCodes: string[] | null
  token: string
  credentialId: string
}

/** Asks for a set-up: the options, and the factor that is not there yet. */
export async function startPasskey (user: User, token = user.token(), label?: string): Promise<{ factorId: string, options: any }> {
  const started = await user.call('POST', '/mfa/passkeys', label === undefined ? {} : { label }, token)
  if (started.status !== 201) throw new Error(`start: ${started.text}`)
  return started.body
}

/** Sets one up, in an authenticator of its own or in the one given. */
export async function enrollPasskey (
  user: User,
  { token = user.token(), label, authenticator = new Authenticator(), traits = {} }: {
    token?: string,
    label?: string,
    authenticator?: Authenticator,
    traits?: Partial<Traits>
  } = {}
): Promise<EnrolledPasskey> {
  const { factorId, options } = await startPasskey(user, token, label)
  const credential = authenticator.create(options, traits)
  const confirmed = await user.call('POST', '/mfa/passkeys/confirm', { factorId, credential }, token)
  if (confirmed.status !== 200) throw new Error(`confirm: ${confirmed.text}`)
  return { authenticator, factorId, recoveryCodes: confirmed.body.recoveryCodes, token: confirmed.body.token, credentialId: credential.id }
}

/** What the authenticator answers to a new challenge. */
export async function answerChallenge (
  user: User,
  authenticator: Authenticator,
  lies: Partial<Traits> = {},
  token = user.token()
): Promise<CredentialJson> {
  const challenge = await user.call('POST', '/mfa/passkeys/challenge', {}, token)
  if (challenge.status !== 200) throw new Error(`challenge: ${challenge.text}`)
  return authenticator.get(challenge.body.options, lies)
}

/** A challenge, its answer, and what becomes of it. */
export const provePasskey = async (
  user: User,
  authenticator: Authenticator,
  lies: Partial<Traits> = {},
  token = user.token(),
  more: object = {}
): Promise<Answer> =>
  await user.call('POST', '/mfa/passkeys/verify', { credential: await answerChallenge(user, authenticator, lies, token), ...more }, token)
