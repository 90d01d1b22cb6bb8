import type { RelyingParty } from '../../config/passkeys.ts'
import { ALGORITHMS, type Cause, handleOf, MAX_ID_BYTES, sha256, toBytes, toText } from './passkey.ts'
import { isOriginOf } from './relying-party.ts'
import type { Assertion, Registration } from './schema.ts'

/** By what an answer is judged. `findChallengeFault`: why it answers no challenge of ours, or null. */
export interface Expected { relyingParty: RelyingParty, findChallengeFault: (challenge: Buffer) => Cause | null }

/** Of a new credential. */
export interface Registered { id: Buffer, publicKey: Buffer, counter: number, isEligible: boolean, aaguid: string, transports: string[] }

/** Of a credential that is known. */
export interface Known { userId: string, publicKey: Buffer, wasEligible: boolean }

/** What the statement decides by. */
export interface Asserted { challenge: Buffer, counter: number, isEligible: boolean }

/** Loaded at first use: half a second and thirty megabytes that a deployment without passkeys does not have. */
const load = () => import('@simplewebauthn/server')
const loadHelpers = () => import('@simplewebauthn/server/helpers')

// Flags of the authenticator (WebAuthn Level 3 §6.1).
const PRESENT = 1
const VERIFIED = 4
const ELIGIBLE = 8
const BACKED_UP = 16

/** `id` of a browser's answer; null for what no credential can have. */
export function readId (id: string): Buffer | null {
  const bytes = toBytes(id)
  return bytes === null || bytes.length > MAX_ID_BYTES ? null : bytes
}

/**
 * Is it an answer to our challenge, by an authenticator of ours? (WebAuthn Level 3 §7.1.) Attestation is left out: a statement that
 * is not read must not be able to refuse a passkey, and no decision rests on one.
 */
export async function readRegistration ({ id, response }: Registration, expected: Expected): Promise<Registered | Cause> {
  const client = readClient(response.clientDataJSON)
  const given = readId(id)
  const fault = findClientFault('webauthn.create', client, expected)
  if (fault !== null) return fault
  if (given === null) return 'unknown'
  const authData = await readAuthData(response.attestationObject)
  if (authData === null) return 'signature'
  const registered = findDataFault(authData, false, expected) ?? await register(id, response.clientDataJSON, client, authData, expected)
  if (typeof registered === 'string') return registered
  return given.equals(registered.id) ? { ...registered, transports: transportsOf(response.transports) } : 'unknown'
}

/**
 * Is it an answer to our challenge, by this credential and signed by its key? (WebAuthn Level 3 §7.2.) Whether it counts is the
 * statement's to decide.
 */
export async function readAssertion ({ id, response }: Assertion, known: Known, expected: Expected): Promise<Asserted | Cause> {
  const { userHandle } = response
  const client = readClient(response.clientDataJSON)
  const authData = Buffer.from(response.authenticatorData, 'base64url')
  if (typeof userHandle === 'string' && userHandle !== '' && userHandle !== toText(handleOf(known.userId))) return 'handle'
  return findClientFault('webauthn.get', client, expected) ?? findDataFault(authData, known.wasEligible, expected) ??
    await assert(id, response, client, known, expected)
}

/** What the browser has signed with; of a value that is no object, nothing. */
function readClient (text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(String(toBytes(text))))
  } catch {
    return {}
  }
}

/** By what the browser says: of which ceremony, to which challenge, on which page. */
function findClientFault (type: string, client: Record<string, unknown>, { relyingParty, findChallengeFault }: Expected): Cause | null {
  const { challenge, origin, crossOrigin = false, topOrigin } = client
  const bytes = typeof challenge === 'string' ? toBytes(challenge) : null
  if (client.type !== type || bytes === null) return 'challenge'
  const fault = findChallengeFault(bytes)
  if (fault !== null) return fault
  if (!isOriginOf(relyingParty, origin)) return 'origin'
  // Another site's page had ours in a frame.
  return crossOrigin !== false || topOrigin !== undefined ? 'frame' : null
}

/** By what the authenticator says: for which domain, whether a user was there, and where the key lives. */
function findDataFault (authData: Buffer, wasEligible: boolean, { relyingParty: { rpId, userVerification } }: Expected): Cause | null {
  if (!authData.subarray(0, 32).equals(sha256(rpId))) return 'rp'
  const flags = authData[32] ?? 0
  const has = (flag: number): boolean => (flags & flag) !== 0
  if (!has(PRESENT) || (userVerification === 'required' && !has(VERIFIED))) return 'user'
  return (wasEligible || has(BACKED_UP)) && !has(ELIGIBLE) ? 'flags' : null
}

async function readAuthData (attestationObject: string): Promise<Buffer | null> {
  const { decodeAttestationObject } = await loadHelpers()
  try {
    return Buffer.from(decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url'))).get('authData'))
  } catch {
    return null
  }
}

/**
 * The library's part: it reads the key, and holds the rest against the same once more. What it throws is not told: the challenge
 * is in it.
 */
async function register (
  id: string, clientDataJSON: string, client: Record<string, unknown>, authData: Buffer, { relyingParty }: Expected
): Promise<Omit<Registered, 'transports'> | 'signature'> {
  const [{ verifyRegistrationResponse }, { decodeCredentialPublicKey, isoCBOR }] = await Promise.all([load(), loadHelpers()])
  const bare = isoCBOR.encode(
    new Map<string, unknown>([['fmt', 'none'], ['attStmt', new Map()], ['authData', new Uint8Array(authData)]]) as never
  )
  const response = { clientDataJSON, attestationObject: toText(bare) }
  try {
    const { registrationInfo } = await verifyRegistrationResponse({
      ...common(client, relyingParty),
      response: { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response },
      supportedAlgorithmIDs: ALGORITHMS
    })
    const { credential, aaguid, credentialDeviceType } = registrationInfo as NonNullable<typeof registrationInfo>
    const { counter, publicKey } = credential
    if (!isBounded(decodeCredentialPublicKey(publicKey) as unknown as ReadonlyMap<number, unknown>, publicKey)) return 'signature'
    return {
      id: Buffer.from(credential.id, 'base64url'),
      publicKey: Buffer.from(publicKey),
      counter,
      isEligible: isEligible(credentialDeviceType),
      aaguid
    }
  } catch {
    return 'signature'
  }
}

/** Members of a COSE key (RFC 9053, section 7; RFC 8230): of what an authenticator makes. */
const [KTY, CRV, X, Y] = [1, -1, -2, -3]
const [OKP, EC2, RSA] = [1, 2, 3]

/**
 * Is a key as large as those of the algorithms that were asked for? The library takes what a caller writes, and each verify would read
 * and compute with all of it.
 */
function isBounded (key: ReadonlyMap<number, unknown>, { length }: Uint8Array): boolean {
  const bytesOf = (label: number): number => (key.get(label) as Uint8Array | undefined)?.length ?? 0
  switch (key.get(KTY)) {
    case OKP: return length <= 256 && key.get(CRV) === 6 && bytesOf(X) === 32
    case EC2: return length <= 256 && key.get(CRV) === 1 && bytesOf(X) === 32 && bytesOf(Y) === 32
    // Here the labels are n's and e's.
    case RSA: return length <= 1024 && bytesOf(CRV) >= 256 && bytesOf(CRV) <= 512 && bytesOf(X) <= 4
    default: return false
  }
}

/** The same. The counter is left to the statement, which knows the newest. */
async function assert (
  id: string,
  { clientDataJSON, authenticatorData, signature }: Assertion['response'],
  client: Record<string, unknown>,
  { publicKey }: Known,
  { relyingParty }: Expected
): Promise<Asserted | 'signature'> {
  const { verifyAuthenticationResponse } = await load()
  const response = { clientDataJSON, authenticatorData, signature }
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      ...common(client, relyingParty),
      response: { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response },
      credential: { id, publicKey: new Uint8Array(publicKey), counter: 0 }
    })
    const { newCounter: counter, credentialDeviceType } = authenticationInfo
    const challenge = Buffer.from(client.challenge as string, 'base64url')
    return verified ? { challenge, counter, isEligible: isEligible(credentialDeviceType) } : 'signature'
  } catch {
    return 'signature'
  }
}

/** Challenge and origin were compared with ours before. */
const common = ({ challenge, origin }: Record<string, unknown>, { rpId, userVerification }: RelyingParty) => ({
  expectedChallenge: challenge as string,
  expectedOrigin: origin as string,
  expectedRPID: rpId,
  requireUserVerification: userVerification === 'required'
})

const isEligible = (deviceType: string): boolean => deviceType === 'multiDevice'

/** What browsers ask an authenticator by: words of a list that grows. */
const transportsOf = (transports: string[] = []): string[] =>
  [...new Set(transports)].filter(name => /^[a-z-]{1,32}$/.test(name)).slice(0, 10)
