import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { isOrigin } from '../platform/origin.ts'

/** A variable that stops the start, and others that do. The message has a line for each, and never a value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  constructor (readonly variable: string, readonly why: string, others: readonly ConfigError[] = []) {
    super([`${variable} ${why}`, ...others.map(({ message }) => message)].join('\n'))
  }
}

export type Reader<T> = (name: string, raw: string) => T

export const text = (maxLength: number): Reader<string> => (name, raw) => {
  if (raw !== raw.trim()) throw new ConfigError(name, 'begins or ends with white space')
  // eslint-disable-next-line no-control-regex -- that is what is looked for
  if (/[\u0000-\u001f\u007f]/.test(raw)) throw new ConfigError(name, 'holds a control character')
  if (raw.length > maxLength) throw new ConfigError(name, `is longer than ${maxLength} characters`)
  return raw
}

export const integer = (min: number, max: number): Reader<number> => (name, raw) => {
  const value = Number(raw)
  if (!/^\d+$/.test(raw) || value < min || value > max) throw new ConfigError(name, `is not a whole number from ${min} to ${max}`)
  return value
}

export const integers = (min: number, max: number): Reader<number[]> => (name, raw) =>
  raw.split(',').map(part => integer(min, max)(name, part.trim()))

export const boolean: Reader<boolean> = (name, raw) => {
  if (raw === 'true' || raw === 'on' || raw === '1') return true
  if (raw === 'false' || raw === 'off' || raw === '0') return false
  throw new ConfigError(name, 'is none of true, on, 1, false, off, 0')
}

export const choice = <const T extends string>(...values: T[]): Reader<T> => (name, raw) => {
  const value = values.find(candidate => candidate === raw)
  if (value === undefined) throw new ConfigError(name, `is none of ${values.join(', ')}`)
  return value
}

export const list = <T>(read: Reader<T>): Reader<T[]> => (name, raw) => raw.split(',').map(part => read(name, part.trim()))

export const secret = (minBytes: number): Reader<string> => (name, raw) => {
  if (Buffer.byteLength(raw) < minBytes) throw new ConfigError(name, `is shorter than ${minBytes} bytes. Make one: openssl rand -base64 48`)
  return raw
}

export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\]|::1)$/.test(host)

export const url = (protocols: string[], { isLoopbackHttpAllowed = false } = {}): Reader<string> => (name, raw) => {
  if (!URL.canParse(raw)) throw new ConfigError(name, 'is not a URL')
  const { protocol, hostname } = new URL(raw)
  const isAllowed = protocols.includes(protocol) || (isLoopbackHttpAllowed && protocol === 'http:' && isLoopback(hostname))
  if (!isAllowed) throw new ConfigError(name, `must begin with ${protocols.join(' or ')}`)
  return raw
}

export const origins: Reader<string[]> = (name, raw) => raw === ''
  ? []
  : raw.split(',').map(part => {
    const origin = part.trim()
    if (!isOrigin(origin)) {
      throw new ConfigError(name, 'holds something that is not an exact origin, as https://app.example.com, without a slash at its end')
    }
    return origin
  })

/** The name in a key URI, whose grammar parts it from the account by a colon. */
export const totpIssuer: Reader<string> = (name, raw) => {
  if (raw.includes(':')) throw new ConfigError(name, 'holds a colon, which authenticator apps take for its end')
  return text(64)(name, raw)
}

export const cidrs: Reader<string[]> = (name, raw) => raw === ''
  ? []
  : raw.split(',').map(part => {
    const cidr = part.trim()
    if (!isProxyRange(cidr)) throw new ConfigError(name, 'holds something that is not a CIDR, as 10.0.0.0/8')
    return cidr
  })

/** Not everyone, and no IPv4-mapped range: it would not match what it seems to (proxy-addr compares the unmapped address). */
function isProxyRange (cidr: string): boolean {
  const address = cidr.split('/', 1)[0] as string
  if (isIP(address) === 0 || !ipaddr.isValidCIDR(cidr)) return false
  const [parsed, bits] = ipaddr.parseCIDR(cidr)
  return bits > 0 && !(parsed.kind() === 'ipv6' && (parsed as ipaddr.IPv6).isIPv4MappedAddress())
}

/** A page that users are led to. */
export const page = url(['https:'], { isLoopbackHttpAllowed: true })

/** Hosts as a URL has them: in lower case, with a port only where it is not the scheme's. */
export const hosts: Reader<string[]> = (name, raw) => raw === ''
  ? []
  : raw.split(',').map(part => {
    const host = part.trim()
    if (!URL.canParse(`https://${host}`) || new URL(`https://${host}`).host !== host || host.includes('*')) {
      throw new ConfigError(name, 'holds something that is not a host, as app.example.com or app.example.com:8443')
    }
    return host
  })

/** One of these HTTP statuses. */
export const status = (...statuses: number[]): Reader<number> => (name, raw) => Number(choice(...statuses.map(String))(name, raw))

/** A list of names, each once, perhaps empty. */
export const names: Reader<string[]> = (name, raw) => {
  if (raw === '') return []
  const values = list(text(255))(name, raw)
  if (values.includes('') || new Set(values).size !== values.length) throw new ConfigError(name, 'holds a name twice, or an empty one')
  return values
}
