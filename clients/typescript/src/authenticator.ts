// A passkey without a browser: what a device that has verified its user would answer (WebAuthn Level 3), with a key of Web Crypto.
import { toBytes, toText } from './bytes.ts'
import type { PasskeyAnswer, PasskeyChallenge, PasskeyConfirmRequest, PasskeyVerifyRequest } from './schema.ts'

/** As `WebAuthn.addCredential` of the Chrome DevTools Protocol takes it; its base64 is not that of URLs. */
export interface VirtualCredential {
  credentialId: string
  isResidentCredential: true
  rpId: string
  privateKey: string
  userHandle: string
  signCount: number
}

export interface SoftPasskey {
  /** What `navigator.credentials.create()` would have given. */
  registration: PasskeyConfirmRequest['credential']
  /** What `navigator.credentials.get()` would give. */
  answer: (options: PasskeyChallenge['options']) => Promise<PasskeyVerifyRequest['credential']>
  /** The same passkey for a browser. */
  credential: () => Promise<VirtualCredential>
}

interface KeyPair { privateKey: unknown, publicKey: unknown }
const { crypto, TextEncoder } = globalThis as unknown as {
  crypto: {
    getRandomValues: (bytes: Uint8Array) => Uint8Array,
    subtle: {
      generateKey: (algorithm: object, isExtractable: true, uses: ['sign']) => Promise<KeyPair>,
      exportKey: (format: 'raw' | 'pkcs8', key: unknown) => Promise<ArrayBuffer>,
      sign: (algorithm: object, key: unknown, data: Uint8Array) => Promise<ArrayBuffer>,
      digest: (algorithm: 'SHA-256', data: Uint8Array) => Promise<ArrayBuffer>
    }
  },
  TextEncoder: new() => { encode: (text: string) => Uint8Array }
}
const { subtle } = crypto

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const sha256 = async (data: Uint8Array): Promise<Uint8Array> => new Uint8Array(await subtle.digest('SHA-256', data))
const concat = (...parts: Array<Uint8Array | number[]>): Uint8Array => Uint8Array.from(parts.flatMap(part => [...part]))

const ID_BYTES = 16
/** The user was there, and showed a finger, a face or a PIN. */
const FLAGS = 1 | 4
const HAS_KEY = 64

/** A new key for what was asked (ES256), by a page of that origin. */
export async function createPasskey ({ rp, user, challenge }: PasskeyAnswer['options'], origin: string): Promise<SoftPasskey> {
  const rpId = rp.id
  const { privateKey, publicKey } = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])
  const id = crypto.getRandomValues(new Uint8Array(ID_BYTES))
  const common = { id: toText(id), type: 'public-key' } as const
  let counter = 0
  /** Higher each time, and higher than what the same passkey has counted in a browser. */
  const count = (): number => (counter = Math.max(counter + 1, Math.floor(Date.now() / 1000)))
  const dataOf = async (flags: number, attested: Uint8Array = new Uint8Array()): Promise<Uint8Array> => {
    const n = count()
    return concat(await sha256(encode(rpId)), [flags, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255], attested)
  }
  const clientDataOf = (type: string, challenge: string): Uint8Array =>
    encode(JSON.stringify({ type, challenge, origin, crossOrigin: false }))

  const point = new Uint8Array(await subtle.exportKey('raw', publicKey))
  // No make; the id, and the public key as COSE writes it: kty EC2, alg ES256, crv P-256, x and y.
  const key = concat([0xA5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], point.slice(1, 33), [0x22, 0x58, 32], point.slice(33))
  const attested = await dataOf(FLAGS | HAS_KEY, concat(new Uint8Array(16), [0, ID_BYTES], id, key))
  const attestationObject = concat(
    [0xA3, 0x63], encode('fmt'), [0x64], encode('none'), [0x67], encode('attStmt'), [0xA0], [0x68], encode('authData'),
    [0x58, attested.length], attested
  )
  return {
    registration: {
      ...common,
      response: {
        clientDataJSON: toText(clientDataOf('webauthn.create', challenge)),
        attestationObject: toText(attestationObject),
        transports: ['internal']
      }
    },
    answer: async ({ challenge }) => {
      const [clientData, data] = [clientDataOf('webauthn.get', challenge), await dataOf(FLAGS)]
      const signed = concat(data, await sha256(clientData))
      const raw = new Uint8Array(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, signed))
      return {
        ...common,
        response: {
          clientDataJSON: toText(clientData),
          authenticatorData: toText(data),
          signature: toText(toDer(raw)),
          userHandle: user.id
        }
      }
    },
    credential: async () => ({
      credentialId: toBase64(id),
      isResidentCredential: true,
      rpId,
      privateKey: toBase64(new Uint8Array(await subtle.exportKey('pkcs8', privateKey))),
      userHandle: toBase64(toBytes(user.id)),
      signCount: count()
    })
  }
}

/** Web Crypto gives r and s side by side; WebAuthn has them as ASN.1, where a number has no zeros before it and no sign. */
export function toDer (raw: Uint8Array): Uint8Array {
  const [r, s] = [raw.slice(0, 32), raw.slice(32)].map(bytes => {
    const rest = bytes.slice(bytes.findIndex(byte => byte !== 0))
    const number = concat(rest[0]! > 127 ? [0] : [], rest)
    return concat([2, number.length], number)
  }) as [Uint8Array, Uint8Array]
  return concat([0x30, r.length + s.length], r, s)
}

const toBase64 = (bytes: Uint8Array): string => {
  const text = toText(bytes).replaceAll('-', '+').replaceAll('_', '/')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}
