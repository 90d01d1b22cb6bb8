import type { RelyingParty } from '../../config/passkeys.ts'
import type { User } from '../../users/user.ts'
import { CHALLENGE_SECONDS } from './challenge.ts'
import { ALGORITHMS, handleOf, type Passkey, toText } from './passkey.ts'
import type { CreationOptions, RequestOptions } from './schema.ts'

const TYPE = 'public-key'
const timeout = CHALLENGE_SECONDS * 1000

const refsOf = (passkeys: Passkey[]): RequestOptions['allowCredentials'] =>
  passkeys.map(({ credential: { id, transports } }) => ({ type: TYPE, id: toText(id), transports }))

/** Of the account as much as a browser shows: it may have 255 characters. */
const shorten = (account: string): string => [...account].slice(0, 64).join('')

/** For a new passkey. Those that are there are left out by name: an authenticator would else put the new one in the place of the old. */
export function creationOptions (
  { rpId, name, userVerification }: RelyingParty,
  { userId, account }: User,
  passkeys: Passkey[],
  challenge: Buffer
): CreationOptions {
  const shown = shorten(account)
  return {
    rp: { id: rpId, name },
    user: { id: toText(handleOf(userId)), name: shown, displayName: shown },
    challenge: toText(challenge),
    pubKeyCredParams: ALGORITHMS.map(alg => ({ type: TYPE, alg })),
    timeout,
    excludeCredentials: refsOf(passkeys),
    authenticatorSelection: { residentKey: 'preferred', requireResidentKey: false, userVerification },
    attestation: 'none'
  }
}

export const requestOptions = ({ rpId, userVerification }: RelyingParty, passkeys: Passkey[], challenge: Buffer): RequestOptions =>
  ({ rpId, challenge: toText(challenge), timeout, allowCredentials: refsOf(passkeys), userVerification })
