import { Type, type Static } from 'typebox'
import { MAX_LENGTH, NAME } from '../platform/text.ts'
import { checkShape } from './entries.ts'
import type { Faults } from './faults.ts'
import { readText } from './files.ts'
import { isProductive } from './places.ts'
import { choice, ConfigError, type Reader, text } from './readers.ts'

/** What passkeys are made for (WebAuthn): the front end of some tenants, or of all. */
export interface RelyingParty {
  readonly tenants: readonly string[] | '*'
  /** The domain that they are bound to. */
  readonly rpId: string
  readonly name: string
  /** Of the pages and apps that may use them, related ones too. */
  readonly origins: readonly string[]
  readonly userVerification: 'required' | 'preferred'
}

/** Outside production, for pages on this machine: whatever port their server was given. */
export const ANY_LOCALHOST = 'http://localhost:*'

const FILE = 'PASSKEYS_FILE'
const USER_VERIFICATIONS = ['required', 'preferred'] as const

const Text = (maxLength: number): ReturnType<typeof Type.String> => Type.String({ minLength: 1, maxLength, pattern: NAME })
const Entry = Type.Object({
  tenants: Type.Union([Type.Literal('*'), Type.Array(Text(MAX_LENGTH.tenant), { minItems: 1, uniqueItems: true })]),
  rpId: Text(253),
  name: Type.Optional(Text(64)),
  origins: Type.Array(Text(512), { minItems: 1, maxItems: 100, uniqueItems: true }),
  relatedOrigins: Type.Optional(Type.Array(Text(512), { minItems: 1, maxItems: 100, uniqueItems: true })),
  userVerification: Type.Optional(Type.Enum([...USER_VERIFICATIONS]))
}, { additionalProperties: false })

/** Origins, or what stands for one of an app, as they were written: whether a relying party can have them is said later. */
const texts: Reader<string[]> = (_name, raw) => raw.split(',').map(part => part.trim())

export const passkeyVariables = {
  PASSKEY_RP_ID: {
    read: text(253),
    about:
      "the domain that passkeys are bound to: your front end's, or one above it. Without it there are no passkeys. It is for ever: " +
      'passkeys of another domain stay, and open nothing. See [Passkeys](passkeys.md)'
  },
  PASSKEY_ORIGINS: {
    read: texts,
    about:
      'the exact origins of the pages and apps that may use passkeys: `https://…` at that domain or below it, `android:apk-key-hash:` ' +
      'with its 43 characters, and outside production `http://localhost:…`'
  },
  PASSKEY_RELATED_ORIGINS: {
    read: texts,
    about: '`https://…` elsewhere that may use them too, if `https://<PASSKEY_RP_ID>/.well-known/webauthn` lists them'
  },
  PASSKEY_RP_NAME: { read: text(64), about: 'the name that a browser may show for it. By default `TOTP_ISSUER_NAME`' },
  PASSKEY_USER_VERIFICATION: {
    read: choice(...USER_VERIFICATIONS),
    fallback: 'required',
    about: '`required`: the user always shows a finger, a face or a PIN; `preferred`: where the passkey can ask for one'
  },
  PASSKEYS_FILE: {
    read: text(4096),
    about:
      'a JSON file with a domain for each of several tenants. It replaces the `PASSKEY_…` variables. ' +
      'See [Passkeys](passkeys.md#several-front-ends)'
  }
} as const

const PLAIN = Object.keys(passkeyVariables).filter(name => name !== FILE)

/** The relying parties of the variables or of the file; none where neither is given. */
export function readPasskeys (values: Record<string, any>, isGiven: (name: string) => boolean, faults: Faults): readonly RelyingParty[] {
  const name: string = values.TOTP_ISSUER_NAME
  const isProduction = isProductive(values)
  if (values.PASSKEYS_FILE !== undefined) {
    for (const each of PLAIN.filter(isGiven)) faults.add(each, `is set, and ${FILE} too: one of them`)
    return readFile(values.PASSKEYS_FILE, name, isProduction)
  }
  const { PASSKEY_RP_ID: rpId, PASSKEY_ORIGINS: origins, PASSKEY_RELATED_ORIGINS: relatedOrigins } = values
  if (!isGiven('PASSKEY_RP_ID')) {
    for (const each of PLAIN.filter(name => isGiven(name) && name !== 'PASSKEY_USER_VERIFICATION')) {
      faults.add(each, 'is set, and PASSKEY_RP_ID is not: name the domain that passkeys are bound to')
    }
    return []
  }
  if (rpId === undefined) return []
  if (!isGiven('PASSKEY_ORIGINS')) {
    throw new ConfigError('PASSKEY_ORIGINS', 'is missing: name the pages that may use the passkeys of PASSKEY_RP_ID')
  }
  if (origins === undefined) return []
  const entry = {
    tenants: '*' as const,
    rpId,
    origins,
    relatedOrigins,
    name: values.PASSKEY_RP_NAME,
    userVerification: values.PASSKEY_USER_VERIFICATION
  }
  return [toParty(entry, name, isProduction, member => VARIABLES[member])]
}

const VARIABLES = { rpId: 'PASSKEY_RP_ID', origins: 'PASSKEY_ORIGINS', relatedOrigins: 'PASSKEY_RELATED_ORIGINS' }
type Member = keyof typeof VARIABLES

function readFile (path: string, name: string, isProduction: boolean): RelyingParty[] {
  let entries: unknown
  const content = readText(FILE, path)
  try { entries = JSON.parse(content) } catch { throw new ConfigError(FILE, 'is not JSON') }
  if (!Array.isArray(entries) || entries.length === 0) throw new ConfigError(FILE, 'is not an array with an entry')
  return (entries as unknown[]).map((entry, index) => {
    checkShape(Entry, entry, FILE, `[${index}]`)
    if (entry.tenants === '*' && index < entries.length - 1) {
      throw new ConfigError(`${FILE} [${index}].tenants`, 'is "*", which leaves nothing to the entries below it: put it last')
    }
    return toParty(entry, name, isProduction, member => `${FILE} [${index}].${member}`)
  })
}

/** An entry with its defaults, if each of its origins can use passkeys of its domain. */
function toParty (entry: Static<typeof Entry>, name: string, isProduction: boolean, nameOf: (member: Member) => string): RelyingParty {
  const { tenants, rpId, origins, relatedOrigins = [], userVerification = 'required' } = entry
  checkDomain(nameOf('rpId'), rpId, isProduction)
  for (const origin of origins) checkOrigin(nameOf('origins'), origin, rpId, isProduction)
  for (const origin of relatedOrigins) checkRelated(nameOf('relatedOrigins'), origin, rpId)
  return { tenants, rpId, name: entry.name ?? name, origins: [...origins, ...relatedOrigins], userVerification }
}

/** As a browser has it: the host of a page, or what it ends in. */
function checkDomain (name: string, rpId: string, isProduction: boolean): void {
  if (rpId === 'localhost') {
    if (isProduction) throw new ConfigError(name, 'is localhost, which is not for production')
    return
  }
  const isDomain = /^[a-z0-9.-]+\.[a-z0-9-]*[a-z][a-z0-9-]*$/.test(rpId) && URL.canParse(`https://${rpId}`) &&
    new URL(`https://${rpId}`).hostname === rpId
  if (!isDomain || rpId.startsWith('.') || rpId.includes('..')) {
    throw new ConfigError(name, 'is not a domain in small letters, as example.com, without scheme and port')
  }
}

const isWithin = (host: string, rpId: string): boolean => host === rpId || host.endsWith(`.${rpId}`)
const isExact = (origin: string): boolean => URL.canParse(origin) && new URL(origin).origin === origin && !origin.includes('*')

function checkOrigin (name: string, origin: string, rpId: string, isProduction: boolean): void {
  if (/^android:apk-key-hash:[A-Za-z0-9_-]{43}$/.test(origin)) return
  if (origin === ANY_LOCALHOST && rpId === 'localhost') return
  if (!isExact(origin)) {
    throw new ConfigError(
      name,
      'holds something that is not an exact origin, as https://app.example.com or android:apk-key-hash: with its 43 characters'
    )
  }
  const { protocol, hostname } = new URL(origin)
  const isSecure = protocol === 'https:' || (protocol === 'http:' && hostname === 'localhost' && !isProduction)
  if (!isSecure) throw new ConfigError(name, 'holds an origin that is not https: no browser gives it a passkey')
  if (!isWithin(hostname, rpId)) {
    throw new ConfigError(
      name,
      "holds an origin that is neither the relying party's domain nor below it: if it is yours too, it is a related origin"
    )
  }
}

function checkRelated (name: string, origin: string, rpId: string): void {
  if (!isExact(origin) || !origin.startsWith('https://')) {
    throw new ConfigError(name, 'holds something that is not an exact https origin, as https://app.example.org')
  }
  if (isWithin(new URL(origin).hostname, rpId)) {
    throw new ConfigError(name, "holds an origin at the relying party's own domain, which is no related one: put it among the origins")
  }
}
