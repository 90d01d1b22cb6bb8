// Calls that a client may send by mistake or on purpose: a good one, in which some things are not as they should be.
import net from 'node:net'
import type { Answered } from './specification.ts'
import { signToken } from './service.ts'

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Chance {
  #state: number
  constructor (readonly seed: number) { this.#state = seed }

  next (): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below (limit: number): number { return Math.floor(this.next() * limit) }
  pick <T> (from: readonly T[]): T { return from[this.below(from.length)] as T }
  is (probability: number): boolean { return this.next() < probability }
}

/** A call before it is put into bytes. */
export interface Draft {
  method: string
  /** As in the specification, with the names of its ids in braces. */
  path: string
  ids: Record<string, string>
  /** As it stands behind the question mark. */
  query: string
  /** By characters that are bytes. */
  headers: Array<[name: string, value: string]>
  claims: Record<string, unknown> | undefined
  token: string | undefined
  /** JSON; undefined: none. */
  body: unknown
  bytes: Buffer | undefined
  /** Its path or its method is no call of the specification any more. */
  isElsewhere: boolean
}

const ID = '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3'

/** Bytes as characters, as a head has them. */
const latin1 = (text: string): string => Buffer.from(text).toString('latin1')

const IDS = [
  ID,
  ID.toUpperCase(),
  `urn:uuid:${ID}`,
  `{${ID}}`,
  ID.replaceAll('-', ''),
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  `${ID}0`,
  ID.slice(1),
  'g'.repeat(8) + ID.slice(8)
]
const TIMES = [
  '2027-01-01T00:00:00Z',
  '2027-01-01t00:00:00z',
  '2027-01-01T00:00:00.123456789012345678901234567Z',
  '2027-01-01T24:00:00Z',
  '2027-02-30T00:00:00Z',
  '2027-01-01T00:00:60Z',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+14:00',
  '9999-12-31T23:59:59-14:00',
  '+275760-09-13T00:00:00.000Z',
  '-000001-01-01T00:00:00Z',
  '2027-01-01',
  '1795521600'
]
const TEXTS = [
  'x',
  ' x',
  'x ',
  'x'.repeat(64),
  'x'.repeat(65),
  'x'.repeat(129),
  'x'.repeat(256),
  'x'.repeat(513),
  'x'.repeat(6000),
  '\0',
  'a\0b',
  '\ud800',
  '\udfff\ud800',
  'a\udc00',
  '🦊',
  '🦊'.repeat(200),
  'é',
  'e\u0301',
  '\u0085',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\uffff',
  '\t',
  '\n',
  'a\r\nX-Injected: 1',
  '%',
  '%00',
  '%ff',
  '\\',
  '"',
  "'; DROP TABLE users; --",
  '{}',
  '[]',
  'null',
  'true',
  'NaN',
  '-1',
  '0',
  '1',
  '1.5',
  '1e400',
  '0x10',
  '٤٩٢٠٣٩',
  '492039',
  '492 039',
  '４９２０３９',
  '0K7M-2Q9R-WX4T-BN3C',
  'BK7M-2Q9R-WX4T-BN3C',
  'UUUU-UUUU-UUUU-UUUU',
  'mfa',
  'billing',
  '__proto__',
  'constructor',
  'toString',
  'required',
  'exempt_sso_only',
  'sso',
  'must_enroll',
  'locked',
  '*',
  '"1"',
  'W/"1"',
  '99999999999999999999',
  `1795521600123456_${ID}`, `9999999999999999_${ID}`, `0_${ID}`, `-1_${ID}`, ...IDS, ...TIMES
]
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  1.5,
  59,
  901,
  366,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53,
  1e21,
  1e308,
  [],
  {},
  [null],
  [[]],
  ['x'],
  ['x', 'x'],
  [1],
  { a: 1 },
  { x: {} },
  Array(3000).fill('x'),
  Array.from({ length: 700 }, (_, i) => `g${i}`)
]

const someValue = (chance: Chance): unknown => chance.is(0.5) ? chance.pick(VALUES) : chance.pick(TEXTS)

/** Changes something somewhere in a JSON value. */
function changed (chance: Chance, value: unknown): unknown {
  if (chance.is(0.35) || typeof value !== 'object' || value === null) return someValue(chance)
  const copy: any = Array.isArray(value) ? [...value] : { ...value }
  const names = Object.keys(copy)
  const name = names.length === 0 ? 'x' : chance.pick(names)
  switch (chance.below(4)) {
    case 0:
      if (Array.isArray(copy)) copy.splice(Number(name), 1)
      else Reflect.deleteProperty(copy, name)
      break
    case 1:
      Object.defineProperty(
        copy,
        chance.pick(['x', '', '__proto__', 'constructor', 'tenant', 'userId', 'a\0', '\ud800', 'x'.repeat(2000)]),
        { value: someValue(chance), enumerable: true }
      )
      break
    default: copy[name] = changed(chance, copy[name])
  }
  return copy
}

/** The same text with some bytes that are not as they were. */
function broken (chance: Chance, bytes: Buffer): Buffer {
  const at = chance.below(bytes.length + 1)
  const junk = chance.pick([
    Buffer.from([0]),
    Buffer.from([0xff]),
    Buffer.from([0xc3]),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from([0xc0, 0x80]),
    Buffer.from('"'),
    Buffer.from('}'),
    Buffer.from('\\u0000'),
    Buffer.from('\\ud800'),
    Buffer.from('1e400'),
    Buffer.from('\ufeff'),
    Buffer.from(',"x":1'),
    Buffer.from(' '.repeat(17000)),
    Buffer.from('['.repeat(9000))
  ])
  return Buffer.concat([bytes.subarray(0, at), junk, bytes.subarray(at + chance.below(3))])
}

const percent = (text: string): string => [...Buffer.from(text)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')

const MUTATIONS: Array<(draft: Draft, chance: Chance) => void> = [
  (draft, chance) => { draft.body = changed(chance, draft.body ?? {}) },
  (draft, chance) => { draft.body = changed(chance, draft.body ?? {}) },
  (draft, chance) => { draft.body = chance.pick([undefined, null, [], 'x', 1, {}, [{}]]) },
  (draft, chance) => { draft.bytes = broken(chance, draft.bytes ?? Buffer.from(JSON.stringify(draft.body ?? {}))) },
  (draft, chance) => {
    for (const name of Object.keys(draft.ids)) {
      draft.ids[name] = chance.pick([
        ...IDS.map(encodeURIComponent),
        ...TEXTS.filter(text => text !== '').map(percent),
        '%',
        '%zz',
        '%c3',
        '%ed%a0%80',
        '..',
        '%2e%2e',
        '%2f',
        'x'.repeat(200)
      ])
      draft.isElsewhere = true
    }
  },
  (draft, chance) => {
    const name = /(\w+)=/.exec(draft.query)?.[1] ?? chance.pick(['x', 'acr', 'maxAge', 'limit', '__proto__', '%00'])
    const value = chance.is(0.7)
      ? percent(chance.pick(TEXTS))
      : chance.pick(['%', '%c3', '%ed%a0%80', latin1('é'), '\xff', '+', '', '&', '=', '?', '#', `x&${name}=y`])
    draft.query = `${name}=${value}`
  },
  (draft, chance) => {
    const name = chance.pick([
      'Accept',
      'If-Match',
      'Content-Type',
      'X-Forwarded-For',
      'X-Forwarded-Uri',
      'X-Forwarded-Host',
      'X-Forwarded-Proto',
      'X-Original-URL',
      'X-Request-Id',
      'traceparent',
      'Origin',
      'Cookie',
      'Content-Encoding',
      'Expect',
      'Upgrade',
      'X-HTTP-Method-Override',
      'Accept-Encoding',
      'Range',
      'If-None-Match',
      'Authorization',
      'Host'
    ])
    const value = chance.is(0.5)
      ? latin1(chance.pick(TEXTS))
      : chance.pick([
        'application/x-ndjson',
        'text/html',
        'text/plain',
        '*/*',
        'application/json; charset=latin1',
        'application/json',
        'gzip',
        '100-continue',
        'websocket',
        '"0"',
        '"1", "2"',
        '203.0.113.7:5000, 10.0.0.5:443',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'Basic eA==',
        'Bearer',
        'Bearer x.y.z',
        'Bearer ..',
        '\xff',
        'x'.repeat(9000)
      ])
    // What would break the head into other lines is another test's.
    draft.headers.push([name, value.replace(/[\0\r\n]/g, '')])
  },
  (draft, chance) => {
    if (draft.claims === undefined) return
    const name = chance.pick([
      ...Object.keys(draft.claims),
      'nbf',
      'groups',
      'roles',
      'accounts',
      'acr',
      'preferred_username',
      'email',
      'client_id',
      'azp',
      'typ',
      'nonce',
      '_claim_names',
      'gty'
    ])
    draft.claims = { ...draft.claims, [name]: someValue(chance) }
    draft.token = signToken(draft.claims, chance.is(0.2) ? { [chance.pick(['alg', 'kid', 'typ', 'crit', 'jwk'])]: someValue(chance) } : {})
  },
  (draft, chance) => {
    const token = draft.token ?? 'x.y.z'
    const at = chance.below(token.length)
    draft.token = chance.pick([
      undefined,
      '',
      token.slice(0, at),
      token.slice(0, at) + chance.pick(['A', '.', '=', ' ', '\xff']) + token.slice(at + 1),
      `${token}.${token}`,
      token.split('.').reverse().join('.')
    ])
  },
  (draft, chance) => {
    draft.method = chance.pick(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'FOO'])
    draft.isElsewhere = true
  }
]

/** As often as not one thing is wrong, else several, or none. */
export function mutate (draft: Draft, chance: Chance): void {
  for (let left = chance.pick([0, 1, 1, 1, 1, 2, 2, 3]); left > 0; left--) chance.pick(MUTATIONS)(draft, chance)
}

/** The bytes of a call that closes its connection behind it. */
export function render ({ method, path, ids, query, headers, token, body, bytes }: Draft): Buffer {
  const target = path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] as string) + (query === '' ? '' : `?${query}`)
  const content = bytes ?? (body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)))
  const own: Array<[string, string]> = [
    ['Host', 'localhost'],
    ['Connection', 'close'],
    ['Content-Length', String(content.length)],
    ...(content.length === 0 ? [] : [['Content-Type', 'application/json'] as [string, string]]),
    ...(token === undefined ? [] : [['Authorization', `Bearer ${token}`] as [string, string]])
  ]
  const given = new Set(headers.map(([name]) => name.toLowerCase()))
  const lines = [...own.filter(([name]) => !given.has(name.toLowerCase())), ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), content])
}

/** Sends them, and reads the answer to its end; undefined if there is none in time. */
export async function send (port: number, bytes: Buffer, milliseconds: number): Promise<Answered | undefined> {
  const socket = net.connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', data => { chunks.push(data as Buffer) }).on('error', () => {})
  socket.write(bytes)
  socket.setTimeout(milliseconds, () => socket.destroy())
  await new Promise(resolve => socket.once('close', resolve))
  return parse(Buffer.concat(chunks).toString('latin1'))
}

function parse (text: string): Answered | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [statusLine, ...lines] = text.slice(0, end).split('\r\n') as [string, ...string[]]
  const status = Number(statusLine.split(' ')[1])
  if (status === 100) return parse(text.slice(end + 4))
  const headers = Object.fromEntries(
    lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
  )
  const rest = text.slice(end + 4)
  const body = headers['transfer-encoding'] === 'chunked' ? unchunked(rest) : rest
  return { status, headers, body: Buffer.from(body, 'latin1').toString() }
}

function unchunked (text: string): string {
  const size = parseInt(text, 16)
  if (!(size > 0)) return ''
  const begin = text.indexOf('\r\n') + 2
  return text.slice(begin, begin + size) + unchunked(text.slice(begin + size + 2))
}
