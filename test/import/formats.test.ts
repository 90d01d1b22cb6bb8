import { readFileSync } from 'node:fs'
import { Secret } from 'otpauth'
import t from 'tap'
import { readAllauth } from '../../src/import/allauth.ts'
import { readBetterAuth } from '../../src/import/better-auth.ts'
import type { Found } from '../../src/import/found.ts'
import { readKeycloak } from '../../src/import/keycloak.ts'
import { readOtpauthCsv } from '../../src/import/otpauth-csv.ts'
import { planImport, type Target } from '../../src/import/plan.ts'

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/import/${name}`, import.meta.url), 'utf8')
const base32 = (bytes: Buffer): string => new Secret({ buffer: new Uint8Array(bytes).buffer }).base32
/** What of each row was made: its secret's length, or why not. */
const made = (found: Found[], name: (row: Found) => string | undefined = ({ username }) => username): Array<[string | undefined, string | number]> =>
  found.map(row => [name(row), 'secret' in row.content ? row.content.secret.length : row.content.reason])

t.test('django-allauth: base32 of the row; what an adapter has encrypted stays behind', async t => {
  const found = readAllauth(fixture('allauth.json'))
  t.same(made(found), [['alice', 20], ['alice', 'recovery_codes'], ['bob', 20], ['bob', 'recovery_codes'], ['carol', 'encrypted'], ['dave', 'not_totp'], ['erin', 'secret_too_short'], ['frank', 'malformed']])
  t.match(found[0], { row: '1', id: '1', email: 'alice@example.com' })
  const [first] = JSON.parse(fixture('allauth.json')).filter(({ model }: { model: string }) => model === 'mfa.authenticator')
  t.equal(base32((found[0]?.content as { secret: Buffer }).secret), first.fields.data.secret)
  const natural = readAllauth(fixture('allauth.natural.json'))
  t.same(natural.map(({ id, username }) => [id, username]).slice(0, 3), [[undefined, 'alice'], [undefined, 'alice'], [undefined, 'bob']])
  const row = (fields: object): string => JSON.stringify([{ model: 'mfa.authenticator', pk: 1, fields }, { model: 'auth.group', pk: 1, fields: { name: 'x' } }, 7])
  t.match(readAllauth(row({ user: null, type: 'totp', data: 'x' })), [{ id: undefined, content: { reason: 'malformed' } }])
  t.match(readAllauth(row({ user: 'uuid', type: 'totp', data: { secret: 'A'.repeat(300) } })), [{ id: 'uuid', content: { reason: 'secret_too_long' } }])
  t.throws(() => readAllauth('[]'), { name: 'ImportError', message: 'The file has no mfa.authenticator.' })
  t.throws(() => readAllauth('{}'), /what dumpdata writes/)
  t.throws(() => readAllauth('[{"model":"mfa.authenticator","pk":1}]'), /no mfa\.authenticator/)
  t.throws(() => readAllauth('{'), /is not JSON/)
})

t.test('better-auth: what the library itself has made opens to what it says of it', async t => {
  const { secret, secrets, users } = JSON.parse(fixture('better-auth.known.json'))
  const found = readBetterAuth(fixture('better-auth.json'), { plain: secret, versions: secrets })
  const nameOf = ({ id }: Found): string => users[id as string].name
  t.same(made(found, nameOf), [
    ['alice', 32], ['alice', 'recovery_codes'], ['bob', 'not_verified'], ['carol', 32], ['carol', 'recovery_codes'],
    ['dave', 20], ['dave', 'recovery_codes'], ['erin', 'encrypted'], ['erin', 'recovery_codes']
  ])
  t.equal(found[0]?.email, 'alice@example.com')
  for (const { id, content } of found) if ('secret' in content) t.equal(base32(content.secret), users[id as string].secret)
  t.same(made(readBetterAuth(fixture('better-auth.json'), { plain: secret }), nameOf).find(([name]) => name === 'carol'), ['carol', 'encrypted'], 'without the version\'s secret')
  const { twoFactor } = JSON.parse(fixture('better-auth.json'))
  t.same(made(readBetterAuth(JSON.stringify(twoFactor), { versions: `1:x, ${secrets as string}` }), nameOf).filter(([, content]) => content === 32), [['carol', 32]], 'the rows alone')
  t.same(made(readBetterAuth('[{}, {"secret": "zz"}, {"secret": "ab", "userId": "u"}]', { plain: 'x' }), ({ row }) => row), [['0', 'malformed'], ['1', 'malformed'], ['2', 'encrypted']])
  t.throws(() => readBetterAuth('{}', {}), /no rows of twoFactor/)
  t.throws(() => readBetterAuth('[]', { versions: 'x' }), /is not version:secret/)
})

t.test('Keycloak: the text is the secret unless it says base32; other algorithms, digits, periods and kinds stay behind', async t => {
  const file = fixture('keycloak.json')
  const found = readKeycloak(file)
  t.same(made(found, ({ username, id }) => username ?? id?.split(':')[2]), [
    ['alice', 20], ['alice', 'recovery_codes'], ['bob', 20], ['carol', 'not_sha1'], ['dave', 'not_six_digits'], ['erin', 'not_30_seconds'], ['frank', 'not_totp'], ['gina', 'malformed'],
    ['heidi', 20], ['heidi', 20], ['heidi', 20], ['judy', 'malformed'], ['judy', 20]
  ])
  const { users: [alice, bob] } = JSON.parse(file)
  t.match(found[0], { id: alice.id, row: alice.credentials[1].id, label: 'Pixel' })
  t.equal((found[0]?.content as { secret: Buffer }).secret.toString(), JSON.parse(alice.credentials[1].secretData).value)
  t.equal(base32((found[2]?.content as { secret: Buffer }).secret), JSON.parse(bob.credentials[0].secretData).value)
  t.same(readKeycloak('{"users":[{"username":"a","credentials":[{"type":"otp","secretData":"{","credentialData":"[]"}]},{"credentials":[{"type":"otp"}]}]}').map(({ row, content }) => [row, content]), [['a/0', { reason: 'malformed' }], ['?/0', { reason: 'malformed' }]])
  t.same(readKeycloak('[{"realm":"master"},{"realm":"one","users":[]}]'), [])
  t.throws(() => readKeycloak('[{"users":[]},{"users":[]}]'), /several realms/)
  t.throws(() => readKeycloak('{"realm":"one"}'), /export with --users/)
})

t.test('a table of key URIs: each line is told by its number', async t => {
  const found = readOtpauthCsv(fixture('otpauth.csv'))
  t.same(made(found, ({ row }) => row), [['2', 20], ['3', 20], ['4', 'not_sha1'], ['5', 'not_totp'], ['6', 'secret_too_short'], ['7', 'malformed'], ['8', 20], ['9', 20]])
  t.match(found[1], { id: 'u-2', username: 'Bob "the builder", Inc.' })
  t.same(found.map(({ key }) => key), ['1', '1', '1', '1', '1', '1', '2', '1'])
  t.equal(readOtpauthCsv('\ufeffotpauth,subject,account\nx,y,z\n').length, 1)
  t.throws(() => readOtpauthCsv('subject,account\na,b\n'), { name: 'ImportError', message: 'The first line must name the columns subject,account,otpauth.' })
  const broken = (): unknown => readOtpauthCsv('subject,account,otpauth\na,b,otp"auth://canary\n')
  t.throws(broken, /^The file is not CSV: line 2, INVALID_OPENING_QUOTE\.$|^The file is not CSV: line \d, [A-Z_]+\.$/)
  t.throws(() => readOtpauthCsv('subject,account,otpauth\na\n'), /^The file is not CSV: line 2/)
})

t.test('who gets what: by the name that tokens have, five at most, under labels that may be given, with the same ids each time', async t => {
  const target: Target = { source: 'keycloak', tenant: 'acme', namespace: 'https://id.test', subject: 'id' }
  const found = readKeycloak(fixture('keycloak.json'))
  const { people, left } = planImport(found, target)
  t.same(people.map(({ account }) => account), ['alice', 'bob', 'heidi', people[3]?.subject], 'whoever has no name is shown as his subject')
  t.same(people[2]?.factors.map(({ label }) => label), ['Phone', 'Authenticator 1', 'Authenticator 2'])
  t.same(left.map(({ reason }) => reason), ['recovery_codes', 'not_sha1', 'not_six_digits', 'not_30_seconds', 'not_totp', 'malformed', 'malformed'])
  const ids = (change: Partial<Target> = {}): string[] => planImport(found, { ...target, ...change }).people.flatMap(({ factors }) => factors.map(({ id }) => id))
  t.match(ids()[0], /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.same(ids(), ids())
  t.equal(new Set([...ids(), ...ids({ tenant: 'other' }), ...ids({ namespace: 'x' }), ...ids({ source: 'y' }), ...ids({ subject: 'username' })]).size, 5 * 6 - 1, 'nobody else\'s; judy has no user name')
  t.same(planImport(found, { ...target, subject: 'email' }).people.map(({ subject }) => subject), ['alice@example.com', 'bob@example.com', 'heidi@example.com'])

  const secret = Buffer.alloc(20, 1)
  const named = (id: string): Found => ({ row: id, id, content: { secret } })
  t.same(planImport(['', 'a\u0000b', 'x'.repeat(256), '\u2028'].map(named), target).left.map(({ reason }) => reason), Array(4).fill('no_subject'))
  const many = planImport(Array.from({ length: 7 }, (_, row) => ({ row: String(row), id: 'one', username: '\u0007', email: 'one@example.com', content: { secret } })), target)
  t.match(many, { people: [{ account: 'one@example.com', factors: { length: 5 } }], left: [{ row: '5', reason: 'too_many_factors' }, { row: '6', reason: 'too_many_factors' }] })
})
