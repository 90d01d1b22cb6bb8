// A file that a variable names is text in UTF-8: where a byte is replaced, another name is trusted.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { rsaPair } from '../helpers/rsa.ts'
import { ISSUER, SECRET, testEnvironment } from '../helpers/service.ts'

const PLAIN = { JWT_ISSUER: undefined, JWT_AUDIENCE: undefined, JWT_SECRET: undefined }

/** What a start says of the environment with a file of these bytes. */
function startWith (t: Test, variable: string, bytes: Buffer, others: Record<string, string | undefined> = {}): string {
  const path = join(t.testdir(), 'a-file-whose-name-is-not-told')
  writeFileSync(path, bytes)
  try { readConfig({ ...testEnvironment(), ...others, [variable]: path }) } catch (error) { return (error as Error).message }
  return 'accepted'
}

const ENTRIES = `[
  { "issuer": "${ISSUER}", "audience": "mfa", "secret": "${SECRET}",
    "tenant": "jürgen" }
]`

t.test('bytes that are not UTF-8 stop the start, by the variable and the place', async t => {
  const issuers = (bytes: Buffer): string => startWith(t, 'TRUSTED_ISSUERS_FILE', bytes, PLAIN)
  t.equal(issuers(Buffer.from(ENTRIES)), 'accepted')
  t.equal(issuers(Buffer.from(`\ufeff${ENTRIES}`)), 'accepted', 'with a byte order mark')
  t.equal(issuers(Buffer.from(ENTRIES, 'latin1')), 'TRUSTED_ISSUERS_FILE is not UTF-8 at line 3, column 17')
  t.equal(
    issuers(Buffer.concat([Buffer.from(ENTRIES), Buffer.from([0xc3])])),
    'TRUSTED_ISSUERS_FILE is not UTF-8 at line 4, column 2',
    'cut short'
  )
  t.equal(issuers(Buffer.from(`\ufeff${ENTRIES}`, 'utf16le')), 'TRUSTED_ISSUERS_FILE is UTF-16: save it as UTF-8')
  t.equal(issuers(Buffer.from(`\ufeff${ENTRIES}`, 'utf16le').swap16()), 'TRUSTED_ISSUERS_FILE is UTF-16: save it as UTF-8')
  t.equal(issuers(Buffer.from([])), 'TRUSTED_ISSUERS_FILE is not JSON')
})

t.test('so do those of a secret and of a key', async t => {
  const secret = `${SECRET}é`
  t.equal(startWith(t, 'JWT_SECRET_FILE', Buffer.from(secret), { JWT_SECRET: undefined }), 'accepted')
  t.equal(
    startWith(t, 'JWT_SECRET_FILE', Buffer.from(secret, 'latin1'), { JWT_SECRET: undefined }),
    `JWT_SECRET_FILE is not UTF-8 at line 1, column ${SECRET.length + 1}`
  )
  t.equal(
    startWith(t, 'JWT_SECRET_FILE', Buffer.from(`\ufeff${secret}`, 'utf16le'), { JWT_SECRET: undefined }),
    'JWT_SECRET_FILE is UTF-16: save it as UTF-8'
  )
  const pem = rsaPair().publicKey.export({ format: 'pem', type: 'spki' }) as string
  for (const text of [pem, `\ufeff${pem}`]) {
    t.equal(startWith(t, 'JWT_PUBLIC_KEY_FILE', Buffer.from(text), { JWT_SECRET: undefined }), 'accepted')
  }
  t.equal(
    startWith(t, 'JWT_PUBLIC_KEY_FILE', Buffer.from(`\ufeff${pem}`, 'utf16le'), { JWT_SECRET: undefined }),
    'JWT_PUBLIC_KEY_FILE is UTF-16: save it as UTF-8'
  )
})

t.test('and what Node could not read of the environment', async t => {
  const issuer = (JWT_ISSUER: string): string => {
    try { return readConfig({ ...testEnvironment(), JWT_ISSUER }).JWT_ISSUER as string } catch (error) { return (error as Error).message }
  }
  t.equal(issuer('https://jürgen.test'), 'https://jürgen.test')
  t.equal(issuer(Buffer.from('https://j\u00fcrgen.test', 'latin1').toString()), 'JWT_ISSUER holds bytes that are not UTF-8')
})
