// What a browser and a passkey would answer, in Node alone; and what those would who lie.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { rsaPair } from './rsa.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest()
const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255])
const u32 = (n: number): Buffer => Buffer.from([n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255])

/** CBOR of what WebAuthn needs: integers, byte and text strings, maps. */
export function cbor (value: unknown): Buffer {
  if (typeof value === 'number') return value >= 0 ? cborHead(0, value) : cborHead(1, -1 - value)
  if (typeof value === 'string') return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (value instanceof Uint8Array) return Buffer.concat([cborHead(2, value.length), value])
  const entries = [...(value as Map<unknown, unknown>)]
  return Buffer.concat([cborHead(5, entries.length), ...entries.flatMap(([key, each]) => [cbor(key), cbor(each)])])
}

const cborHead = (major: number, n: number): Buffer =>
  n < 24 ? Buffer.from([major << 5 | n]) : n < 256 ? Buffer.from([major << 5 | 24, n]) : Buffer.from([major << 5 | 25, n >> 8, n & 255])

interface Keys { privateKey: KeyObject, publicKey: KeyObject }
const bytesOf = ({ publicKey }: Keys, name: 'x' | 'y' | 'n' | 'e'): Buffer =>
  Buffer.from(publicKey.export({ format: 'jwk' })[name] as string, 'base64url')

/** The COSE keys of new pairs, by their algorithm. */
const ALGORITHMS: Record<number, () => [Keys, Map<number, unknown>]> = {
  [-7]: () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return [pair, new Map<number, unknown>([[1, 2], [3, -7], [-1, 1], [-2, bytesOf(pair, 'x')], [-3, bytesOf(pair, 'y')]])]
  },
  [-8]: () => {
    const pair = generateKeyPairSync('ed25519')
    return [pair, new Map<number, unknown>([[1, 1], [3, -8], [-1, 6], [-2, bytesOf(pair, 'x')]])]
  },
  [-257]: () => {
    const pair = rsaPair()
    return [pair, new Map<number, unknown>([[1, 3], [3, -257], [-1, bytesOf(pair, 'n')], [-2, bytesOf(pair, 'e')]])]
  },
  [-35]: () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    return [pair, new Map<number, unknown>([[1, 2], [3, -35], [-1, 2], [-2, bytesOf(pair, 'x')], [-3, bytesOf(pair, 'y')]])]
  }
}

/** How it is, and how it lies. */
export interface Traits {
  origin: string
  isPresent: boolean
  isVerified: boolean
  isEligible: boolean
  isBackedUp: boolean
  /** Of the answer; undefined: one more than the last. */
  counter: number | undefined
  /** The domain, where that is not the one that asked. */
  rpId: string | undefined
  userHandle: string | null | undefined
  aaguid: string
  idBytes: number
  /** Of a new credential; undefined: random. */
  id: Uint8Array | undefined
  algorithm: number | undefined
  /** Members of the COSE key, in place of those that it has or besides. */
  key: Array<[number, unknown]>
  /** Other members of what the browser signs with. */
  clientData: Record<string, unknown>
}

interface Options { challenge: string }
export interface CreationOptions extends Options {
  rp: { id: string }
  user: { id: string }
  pubKeyCredParams: Array<{ alg: number }>
  excludeCredentials: Array<{ id: string }>
}
export interface RequestOptions extends Options { rpId: string, allowCredentials: Array<{ id: string }> }

interface Kept { privateKey: KeyObject, algorithm: number, counter: number, userHandle: string }

/** A credential as a browser hands it over. */
export interface CredentialJson { id: string, rawId: string, type: string, clientExtensionResults: object, response: Record<string, any> }

const NO_AAGUID = '00000000-0000-0000-0000-000000000000'

export class Authenticator {
  readonly kept = new Map<string, Kept>()
  readonly #traits: Traits

  constructor (traits: Partial<Traits> = {}) {
    this.#traits = {
      origin: 'https://app.example.com',
      isPresent: true,
      isVerified: true,
      isEligible: false,
      isBackedUp: false,
      counter: undefined,
      rpId: undefined,
      userHandle: undefined,
      aaguid: NO_AAGUID,
      idBytes: 32,
      id: undefined,
      algorithm: undefined,
      key: [],
      clientData: {},
      ...traits
    }
  }

  create (options: CreationOptions, lies: Partial<Traits> = {}): CredentialJson {
    const traits = { ...this.#traits, ...lies }
    if (options.excludeCredentials.some(({ id }) => this.kept.has(id))) throw new DOMException('it is here already', 'InvalidStateError')
    const algorithm = traits.algorithm ?? options.pubKeyCredParams.map(({ alg }) => alg).find(alg => alg in ALGORITHMS) as number
    const [{ privateKey }, key] = (ALGORITHMS[algorithm] as () => [Keys, Map<number, unknown>])()
    const id = traits.id ?? randomBytes(traits.idBytes)
    const counter = traits.counter ?? 0
    this.kept.set(text(id), { privateKey, algorithm, counter, userHandle: options.user.id })
    const attested = Buffer.concat([
      Buffer.from(traits.aaguid.replaceAll('-', ''), 'hex'),
      u16(id.length),
      id,
      cbor(new Map([...key, ...traits.key]))
    ])
    const authData = dataOf(traits, options.rp.id, counter, attested)
    const attestationObject = cbor(new Map<string, unknown>([['fmt', 'none'], ['attStmt', new Map()], ['authData', authData]]))
    return credentialOf(text(id), {
      clientDataJSON: text(clientDataOf('webauthn.create', options, traits)),
      attestationObject: text(attestationObject),
      transports: ['internal']
    })
  }

  get (options: RequestOptions, lies: Partial<Traits> = {}): CredentialJson {
    const traits = { ...this.#traits, ...lies }
    const id = options.allowCredentials.map(({ id }) => id).find(id => this.kept.has(id))
    if (id === undefined) throw new DOMException('it has none of them', 'NotAllowedError')
    const kept = this.kept.get(id) as Kept
    const counter = traits.counter ?? kept.counter + 1
    kept.counter = counter
    const clientData = clientDataOf('webauthn.get', options, traits)
    const authData = dataOf(traits, options.rpId, counter)
    const signature = sign(kept.algorithm === -8 ? null : 'sha256', Buffer.concat([authData, sha256(clientData)]), kept.privateKey)
    return credentialOf(id, {
      clientDataJSON: text(clientData),
      authenticatorData: text(authData),
      signature: text(signature),
      userHandle: traits.userHandle === undefined ? kept.userHandle : traits.userHandle
    })
  }
}

const credentialOf = (id: string, response: object): CredentialJson => ({
  id,
  rawId: id,
  type: 'public-key',
  clientExtensionResults: {},
  response
})

const clientDataOf = (type: string, { challenge }: Options, { origin, clientData }: Traits): Buffer =>
  Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false, ...clientData }))

function dataOf (
  { rpId, isPresent, isVerified, isEligible, isBackedUp }: Traits,
  asked: string,
  counter: number,
  attested = Buffer.alloc(0)
): Buffer {
  const flags = (isPresent ? 1 : 0) | (isVerified ? 4 : 0) | (isEligible ? 8 : 0) | (isBackedUp ? 16 : 0) | (attested.length > 0 ? 64 : 0)
  return Buffer.concat([sha256(rpId ?? asked), Buffer.from([flags]), u32(counter), attested])
}
