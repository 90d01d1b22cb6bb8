import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Secret } from 'otpauth'
import t from 'tap'
import { readAegis } from '../../src/import/aegis.ts'
import { readAllauth } from '../../src/import/allauth.ts'
import { readAuthelia } from '../../src/import/authelia.ts'
import { readBetterAuth } from '../../src/import/better-auth.ts'
import { readBitwarden } from '../../src/import/bitwarden.ts'
import { decodeFile } from '../../src/import/decode.ts'
import { type Found, REASONS } from '../../src/import/found.ts'
import { readGoogleAuthenticator } from '../../src/import/google-authenticator.ts'
import { readKeycloak } from '../../src/import/keycloak.ts'
import { readOathCsv } from '../../src/import/oath-csv.ts'
import { readOtpauthCsv } from '../../src/import/otpauth-csv.ts'
import { readFields } from '../../src/import/protobuf.ts'
import { planImport } from '../../src/import/plan.ts'
import { type Source, SOURCES } from '../../src/import/sources.ts'

const fixture = (name: string): string => decodeFile(readFileSync(new URL(`../fixtures/import/${name}`, import.meta.url)))
const base32 = (bytes: Buffer): string => new Secret({ buffer: new Uint8Array(bytes).buffer }).base32
/** What of each row was made: its secret's length, or why not. */
const made = (
  found: Found[],
  name: (row: Found) => string | undefined = ({ username }) => username
): Array<[string | undefined, string | number]> =>
  found.map(row => [name(row), 'secret' in row.content ? row.content.secret.length : row.content.reason])
const byRow = ({ row }: Found): string => row
/** The secrets of the fixtures that are made by hand. */
const isOf = (row: Found | undefined, number: number): boolean =>
  row !== undefined && 'secret' in row.content && row.content.secret.equals(createHash('sha1').update(`fixture ${number}`).digest())

t.test('every source is in docs/import.md with what it reads, has a fixture, and each reason is explained there', async t => {
  const docs = readFileSync('docs/import.md', 'utf8')
  const fixtures = readdirSync('test/fixtures/import')
  for (const [source, { subject }] of Object.entries(SOURCES)) {
    t.ok(new RegExp(`^\\| \`${source}\` \\|.*\\| \`${subject}\` \\|$`, 'm').test(docs), source)
    t.ok(fixtures.some(name => name.startsWith(source.replace('-csv', ''))), `${source} has a fixture`)
  }
  for (const reason of REASONS) t.ok(new RegExp(`^\\| \`${reason}\``, 'm').test(docs), reason)
})

t.test('from every source users come by the names that tokens have, and each row is planned or stays behind', async t => {
  const { secret: plain, secrets: versions } = JSON.parse(fixture('better-auth.known.json'))
  const issuer = 'Example'
  const files: Array<
    [
      name: keyof typeof SOURCES,
      file: string,
      planned: number,
      left: number,
      of?: { subject?: 'id' | 'username' | 'email', issuer?: string }
    ]
  > = [
    ['allauth', 'allauth.json', 2, 6],
    ['allauth', 'allauth.site.jsonl', 2, 6, { subject: 'username' }],
    ['allauth', 'allauth.natural-primary.json', 2, 3, { subject: 'email' }],
    ['authelia', 'authelia.yml', 3, 3], ['authelia', 'authelia.csv', 3, 4], ['authelia', 'authelia.txt', 3, 3],
    ['better-auth', 'better-auth.json', 3, 6], ['keycloak', 'keycloak.json', 6, 7], ['otpauth-csv', 'otpauth.csv', 3, 5],
    ['oath-csv', 'oath.entra.csv', 2, 3],
    ['oath-csv', 'oath.privacyidea.csv', 1, 7],
    ['oath-csv', 'oath.seeds.csv', 3, 3, { subject: 'id' }],
    ['aegis', 'aegis.json', 2, 7, { issuer }],
    ['bitwarden', 'bitwarden.json', 2, 4, { issuer }],
    ['google-authenticator', 'google-authenticator.txt', 3, 5, { issuer }]
  ]
  t.same([...new Set(files.map(([name]) => name))].sort(), Object.keys(SOURCES).sort(), 'all of them')
  for (const [name, file, planned, left, { subject, issuer } = {}] of files) {
    const source: Source = SOURCES[name]
    const found = source.read(fixture(file), { secrets: { plain, versions } })
    const plan = planImport(
      found,
      { source: name, tenant: 'acme', namespace: 'https://id.test', subject: subject ?? source.subject },
      issuer
    )
    t.same([plan.users.flatMap(({ factors }) => factors).length, plan.left.length], [planned, left], file)
  }
})

t.test('django-allauth: base32 of the row; what an adapter has encrypted stays behind', async t => {
  const found = readAllauth(fixture('allauth.json'))
  t.same(made(found), [
    ['alice', 20],
    ['alice', 'recovery_codes'],
    ['bob', 20],
    ['bob', 'recovery_codes'],
    ['carol', 'encrypted'],
    ['dave', 'passkey'],
    ['erin', 'secret_too_short'],
    ['frank', 'no_secret']
  ])
  t.match(found[0], { row: '1', id: '1', email: 'alice@example.com' })
  const [first] = JSON.parse(fixture('allauth.json')).filter(({ model }: { model: string }) => model === 'mfa.authenticator')
  t.equal(base32((found[0]?.content as { secret: Buffer }).secret), first.fields.data.secret)
  const row = (fields: object): string =>
    JSON.stringify([{ model: 'mfa.authenticator', pk: 1, fields }, { model: 'auth.group', pk: 1, fields: { name: 'x' } }, 7])
  t.match(readAllauth(row({ user: null, type: 'totp', data: 'x' })), [{ id: undefined, content: { reason: 'no_secret' } }])
  t.match(readAllauth(row({ user: 'uuid', type: 'totp', data: { secret: 'A'.repeat(300) } })), [{
    id: 'uuid',
    content: { reason: 'secret_too_long' }
  }])
  t.match(readAllauth(row({ user: 1, type: 'later', data: {} })), [{ content: { reason: 'not_totp' } }])
  t.throws(() => readAllauth('[]'), { name: 'ImportError', message: 'The file has no mfa.authenticator.' })
  t.throws(() => readAllauth('{}'), /what dumpdata writes/)
  t.throws(() => readAllauth('[{"model":"mfa.authenticator","pk":1}]'), /no mfa\.authenticator/)
})

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
const authenticator = (user: unknown, more: object = {}): object => ({
  model: 'mfa.authenticator',
  pk: 1,
  fields: { user, type: 'totp', data: { secret: SECRET } },
  ...more
})
const user = (model: string, pk: unknown, username: string, more: object = {}): object => ({
  model,
  pk,
  fields: { password: 'x', last_login: null, username, email: `${username}@example.com`, ...more }
})
const dump = (...records: object[]): string => JSON.stringify(records)

t.test('django-allauth: an authenticator belongs to the user that the users\' model names, and to no other with the same key', async t => {
  // As the whole site is dumped, in JSON lines: accounts of mail have passwords, too, and keys from 1.
  const found = readAllauth(fixture('allauth.site.jsonl'))
  t.same(made(found), made(readAllauth(fixture('allauth.json'))))
  t.same(found.map(({ email }) => email).slice(0, 3), ['alice@example.com', 'alice@example.com', 'bob@example.com'])

  const mail = { model: 'paperless_mail.mailaccount', pk: 1, fields: { username: 'bob', password: 'x', imap_server: 'imap.example.com' } }
  const own = [{ model: 'auth.user', pk: 1, fields: { password: 'x', username: 'alice', email: 'alice@example.com' } }, {
    model: 'auth.user',
    pk: 2,
    fields: { password: 'x', username: 'bob', email: 'bob@example.com' }
  }]
  for (const records of [[...own, mail, authenticator(1)], [mail, authenticator(1), ...own]]) {
    t.match(readAllauth(dump(...records)), [{ id: '1', username: 'alice' }])
  }

  // A site with users of its own: which model they are is told by Django's own columns and by the keys, or by the operator who imports.
  t.match(readAllauth(dump(user('accounts.member', 'b5e', 'alice'), mail, authenticator('b5e'))), [{ username: 'alice' }])
  const doubt = dump(user('accounts.member', 1, 'alice'), user('shop.customer', 1, 'bob'), authenticator(1))
  t.throws(() => readAllauth(doubt), {
    name: 'ImportError',
    message: "Which of the file's models are the users? Name it by --users-model: accounts.member, shop.customer."
  })
  t.match(readAllauth(doubt, 'accounts.Member'), [{ username: 'alice' }])
  t.match(readAllauth(doubt, 'shop.customer'), [{ username: 'bob' }])
  t.throws(() => readAllauth(doubt, 'accounts.user'), /no records of the model that --users-model names/)
  t.throws(
    () => readAllauth(dump(mail, authenticator(1))),
    /Name it by --users-model: paperless_mail\.mailaccount\.$/,
    'the users are not in the file'
  )
  t.throws(
    () => readAllauth(dump(user('shop.customer', 1, 'bob'), authenticator(1), authenticator(2))),
    /Name it by --users-model: shop\.customer\.$/,
    'keys that the model has not'
  )
  t.match(readAllauth(dump({ model: 'account.emailaddress', pk: 1, fields: { email: 'bob@example.com' } }, authenticator(1))), [{
    id: '1',
    username: undefined,
    email: undefined
  }])
  t.throws(
    () => readAllauth(dump(user('auth.user', 1, 'alice'), user('auth.user', 1, 'bob'), authenticator(1))),
    /two users of one key, the second in row 2/
  )
  t.match(
    readAllauth(dump(user('auth.user', 1, 'alice'), user('auth.user', 1, 'alice'), authenticator(1))),
    [{ username: 'alice' }],
    'the same one twice is one'
  )
  t.match(readAllauth(dump(user('auth.user', 7, 'alice'), authenticator(8))), [{ id: '8', username: undefined }])
})

t.test('django-allauth: by natural keys it is the name, or the address, that they sign in with; the row is its number in the ' +
  'file', async t => {
  const natural = readAllauth(fixture('allauth.natural.json'))
  t.same(natural.map(({ id, username, email }) => [id, username, email]).slice(0, 3), [[undefined, 'alice', undefined], [
    undefined,
    'alice',
    undefined
  ], [undefined, 'bob', undefined]])
  const primary = readAllauth(fixture('allauth.natural-primary.json'))
  t.same(primary.map(({ row, email }) => [row, email]), [['4', 'alice@example.com'], ['5', 'alice@example.com'], ['6', 'bob@example.com'], [
    '7',
    'bob@example.com'
  ], ['8', 'carol@example.com']])
  const lines = `${JSON.stringify(authenticator(['ann'], { pk: undefined }))}\n${
    JSON.stringify(authenticator(['ben@example.com'], { pk: undefined }))
  }\n`
  t.match(readAllauth(lines), [{ row: '1', username: 'ann', email: undefined }, {
    row: '2',
    username: 'ben@example.com',
    email: 'ben@example.com'
  }])
  t.match(readAllauth(JSON.stringify(authenticator(['ann']))), [{ row: '1', username: 'ann' }], 'one line is a list of one')
  t.match(
    readAllauth(dump(user('auth.user', 1, 'ann'), authenticator(['ann']))),
    [{ id: '1', username: 'ann', email: 'ann@example.com' }],
    'with the users in the file, all of their names'
  )
  t.match(
    readAllauth(
      dump(user('auth.user', 1, 'ann', { email: 'x@example.com' }), user('auth.user', 2, 'x@example.com'), authenticator(['x@example.com']))
    ),
    [{ id: undefined, username: undefined }],
    'a name that two have'
  )
  for (const key of [['acme', 'ann'], [['ann']], []]) {
    t.match(readAllauth(dump(authenticator(key))), [{
      id: undefined,
      username: undefined
    }], 'a key that only the site understands')
  }
})

t.test('ids may be numbers, but none that JSON has rounded: that is another user\'s', async t => {
  t.match(readAllauth(dump(user('auth.user', 7, 'alice'), authenticator(7))), [{ id: '7' }])
  const rounded =
    '[{"model":"mfa.authenticator","pk":1,"fields":{"user":9007199254740993,"type":"totp","data":{"secret":"x"}}},' +
    '{"model":"auth.user","pk":9007199254740992,"fields":{"password":"x","username":"bob"}}]'
  t.match(readAllauth(rounded), [{ id: undefined, username: undefined }])
  const file = JSON.stringify({
    twoFactor: [{ id: 3, userId: 7, secret: 'ab', verified: true }],
    user: [{ id: 7, username: 'alice', email: 'alice@example.com' }, { id: 1.5 }]
  })
  t.match(readBetterAuth(file, { plain: 'x' }), [{ row: '3', id: '7', username: 'alice', email: 'alice@example.com' }])
  t.match(readKeycloak('{"users":[{"id":12,"username":34,"credentials":[{"type":"otp"}]}]}'), [{ id: '12', username: '34' }])
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
  t.same(made(readBetterAuth(fixture('better-auth.json'), { plain: secret }), nameOf).find(([name]) => name === 'carol'), [
    'carol',
    'encrypted'
  ], "without the version's secret")
  const { twoFactor, user } = JSON.parse(fixture('better-auth.json'))
  t.same(
    made(readBetterAuth(JSON.stringify(twoFactor), { versions: `1:x, ${secrets as string}` }), nameOf).filter(([, content]) =>
      content === 32
    ),
    [['carol', 32]],
    'the rows alone'
  )
  t.same(
    made(
      readBetterAuth('[{"verified":true}, {"secret": "zz", "verified":true}, {"secret": "ab", "userId": "u", "verified":true}]', {
        plain: 'x'
      }),
      byRow
    ),
    [['1', 'no_secret'], ['2', 'malformed'], ['3', 'encrypted']]
  )
  // As another ORM, or a database that knows no capitals, names its tables and columns.
  const snake = (rows: object[], upper = false): object[] => rows.map(row => Object.fromEntries(Object.entries(row).map(([name, value]) => {
    const plain = name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
    return [upper ? plain.toUpperCase() : plain, value]
  })))
  for (
    const other of [{ two_factor: snake(twoFactor), user: snake(user) }, { TWO_FACTORS: snake(twoFactor, true), USERS: snake(user, true) }]
  ) {
    t.same(readBetterAuth(JSON.stringify(other), { plain: secret, versions: secrets }), found)
  }
  t.throws(() => readBetterAuth('{}', {}), /no rows of twoFactor/)
  t.throws(() => readBetterAuth('[]', { versions: 'x' }), /is not version:secret/)
  t.throws(() => readBetterAuth('{"twoFactor":[{"userId":"a","user_id":"b"}]}', {}), /^Row 1 of twoFactor has one name in two spellings\.$/)
  t.throws(() => readBetterAuth('{"twoFactor":[],"two_factor":[]}', {}), /^The file has one name in two spellings\.$/)
  t.throws(
    () => readBetterAuth('{"twoFactor":[],"user":[{"id":1,"email":"a@example.com"},{"id":"1","email":"b@example.com"}]}', {}),
    /two users of one key, the second in row 2/
  )
})

t.test('better-auth: only what is known to be verified is brought, in whatever way a database writes that', async t => {
  const outcome = (verified: unknown, enabled: unknown): string => {
    const found = readBetterAuth(
      JSON.stringify({ twoFactor: [{ id: 'tf', userId: 'u', secret: 'ab', verified }], user: [{ id: 'u', twoFactorEnabled: enabled }] }),
      { plain: 'x' }
    )
    return (found[0]?.content as { reason: string }).reason
  }
  const [yes, no] = ['encrypted', 'not_verified']
  for (const value of [true, 1, '1', 't', 'true', 'TRUE', 'True ', 'y', 'on', '\u0001']) {
    t.same([outcome(value, true), outcome(true, value), outcome(value, undefined), outcome(undefined, value), outcome(null, value)], [
      yes,
      yes,
      yes,
      yes,
      yes
    ], JSON.stringify(value))
  }
  for (const value of [false, 0, '0', 'f', 'false', 'FALSE', 'n', 'off', '\u0000']) {
    t.same(
      [outcome(value, true), outcome(true, value), outcome(value, undefined), outcome(undefined, value)],
      [no, no, no, no],
      JSON.stringify(value)
    )
  }
  // The library takes a user without it for one who has no two factors; a row that says nothing of either proves nothing.
  t.same([outcome(true, null), outcome(undefined, undefined), outcome(null, undefined), outcome(null, null)], [no, no, no, no])
  for (const value of ['', 'maybe', 'NULL', 2, -1, 'verified', [], {}, { type: 'Buffer', data: [1] }]) {
    t.same([outcome(value, true), outcome(true, value)], ['unclear_flag', 'unclear_flag'], JSON.stringify(value))
  }
})

t.test('Keycloak: the text is the secret unless it says base32; other algorithms, digits, periods and kinds stay behind', async t => {
  const file = fixture('keycloak.json')
  const found = readKeycloak(file)
  t.same(made(found, ({ username, id }) => username ?? id?.split(':')[2]), [
    ['alice', 20],
    ['alice', 'recovery_codes'],
    ['bob', 20],
    ['carol', 'not_sha1'],
    ['dave', 'not_six_digits'],
    ['erin', 'not_30_seconds'],
    ['frank', 'not_totp'],
    ['gina', 'malformed'],
    ['heidi', 20], ['heidi', 20], ['heidi', 20], ['judy', 'malformed'], ['judy', 20]
  ])
  const { users: [alice, bob] } = JSON.parse(file)
  t.match(found[0], { id: alice.id, row: alice.credentials[1].id, label: 'Pixel' })
  t.equal((found[0]?.content as { secret: Buffer }).secret.toString(), JSON.parse(alice.credentials[1].secretData).value)
  t.equal(base32((found[2]?.content as { secret: Buffer }).secret), JSON.parse(bob.credentials[0].secretData).value)
  t.same(
    readKeycloak(
      '{"users":[{"username":"a","credentials":[{"type":"otp","secretData":"{","credentialData":"[]"}]},{"credentials":[{"type":"otp"}]}]}'
    ).map(({ row, content }) => [row, content]),
    [['a/1', { reason: 'malformed' }], ['?/1', { reason: 'malformed' }]]
  )
  t.same(readKeycloak('[{"realm":"master"},{"realm":"one","users":[]}]'), [])
  t.throws(() => readKeycloak('[{"users":[]},{"users":[]}]'), /several realms/)
  t.throws(() => readKeycloak('{"realm":"one"}'), /export with --users/)
})

t.test('a table of key URIs: each line is told by its number, and names of columns may be left out', async t => {
  const found = readOtpauthCsv(fixture('otpauth.csv'))
  t.same(made(found, byRow), [['2', 20], ['3', 20], ['4', 'not_sha1'], ['5', 'not_totp'], ['6', 'secret_too_short'], ['7', 'no_uri'], [
    '8',
    20
  ], ['9', 20]])
  t.match(found[1], { id: 'u-2', username: 'Bob "the builder", Inc.' })
  t.same(
    made(readOtpauthCsv(fixture('otpauth.csv').split('\n').slice(1).join('\n')), byRow).slice(0, 2),
    [['1', 20], ['2', 20]],
    'without the line of names'
  )
  t.match(readOtpauthCsv('OTPAuth,Subject,account\nx,y,z\n'), [{ id: 'y', username: 'z', content: { reason: 'no_uri' } }])
  t.match(readOtpauthCsv(`subject;account;otpauth\ny;"z;z";otpauth://totp/x?secret=${SECRET}\n`), [{
    id: 'y',
    username: 'z;z',
    content: { secret: Buffer }
  }], 'as a spreadsheet writes it in half of Europe')
  t.match(readOtpauthCsv(`subject\taccount\totpauth\ny\tz, z\totpauth://totp/x?secret=${SECRET}\n`), [{
    id: 'y',
    username: 'z, z',
    content: { secret: Buffer }
  }], 'or as "Unicode text"')
  t.match(readOtpauthCsv('subject,account,otpauth\na\nb,c,d,e\n\n'), [{ row: '2', id: 'a', content: { reason: 'malformed' } }, {
    row: '3',
    id: 'b',
    content: { reason: 'malformed' }
  }])
  for (const file of ['subject,account\na,b\n', 'a,b,c\n', '']) {
    t.throws(() => readOtpauthCsv(file), { name: 'ImportError', message: 'The first line must name the columns subject,account,otpauth.' })
  }
  t.throws(() => readOtpauthCsv('subject,account,otpauth\na,b,otp"auth://canary\n'), /^The file is not CSV: line 2, [A-Z_]+\.$/)
})

t.test('OATH tokens: with a line of names as for Entra ID, or without as for privacyIDEA and LinOTP', async t => {
  const entra = readOathCsv(fixture('oath.entra.csv'))
  t.same(made(entra), [['helga@contoso.com', 20], ['ivan@contoso.com', 'not_30_seconds'], ['jane@contoso.com', 'no_base32'], [
    undefined,
    20
  ], ['helga@contoso.com', 20]])
  t.match(entra[0], { row: '2', key: '1234567', id: undefined, email: 'helga@contoso.com' })
  t.ok(isOf(entra[0], 41))
  t.same(made(readOathCsv(fixture('oath.entra.csv').split('\r\n').slice(1).join('\n'))), made(entra), 'the same without names')

  const users = readOathCsv(fixture('oath.privacyidea.csv'))
  t.same(made(users), [
    ['kim', 20],
    ['lee', 'not_six_digits'],
    ['mia', 'not_30_seconds'],
    ['noa', 'not_totp'],
    ['ola', 'not_totp'],
    ['pia', 'not_sha1'],
    [undefined, 20],
    ['ray', 'no_hex']
  ])
  t.ok(isOf(users[0], 51))
  t.match(users[0], { row: '3', key: 'TOTP0001', id: undefined })
  // Whose a token is these do not say: the serial number is the id, if that is asked for.
  const seeds = readOathCsv(fixture('oath.seeds.csv'))
  t.same(made(seeds, ({ id }) => id), [['TOTP0001', 20], ['TOTP0002', 20], ['TOTP0003', 'not_sha1'], ['TOTP0004', 20], [
    'TOTP0005',
    'not_totp'
  ], ['OCRA0001', 'not_totp']])
  t.same(seeds.map(({ username }) => username), Array(6).fill(undefined))

  const seed = '0'.repeat(39)
  t.same(
    made(
      readOathCsv(
        `User Principal Name,Secret Key (HEX),Time Step,OTP length,Type\nann,${seed}1,30,6,TOTP\nben,${seed},30,6,TOTP\ncat,,30,6,TOTP\ndan,${seed}2,30,8,TOTP\neve,${seed}3,30,6,HOTP\nfay,${seed}4,,6,totp\ngil\n`
      )
    ),
    [['ann', 20], ['ben', 'no_hex'], ['cat', 'no_secret'], ['dan', 'not_six_digits'], ['eve', 'not_totp'], ['fay', 'not_30_seconds'], [
      'gil',
      'malformed'
    ]]
  )
  t.same(made(readOathCsv('upn,secret key,time interval\nann,,30\n')), [['ann', 'no_secret']])
  t.same(made(readOathCsv(`T1,${seed}1,totp,6,30,sha1,x\nT2\n`), ({ id }) => id), [['T1', 'malformed'], ['T2', 'not_totp']])
  t.throws(() => readOathCsv('upn,secret key,time interval,colour\n'), /^Column 4 has a name that is not known here\. Known are: upn, /)
  t.throws(() => readOathCsv('upn,secret key,serial number\n'), /must name the time interval/)
  t.throws(() => readOathCsv('upn,username,secret key,time interval\n'), /two columns that mean the same/)
  t.throws(() => readOathCsv('upn,seed,secret key,time interval\n'), /two columns that mean the same/)
  t.throws(() => readOathCsv('# version: 2\n'), /no lines/)
})

t.test('Authelia: the export, and those in CSV and as key URIs, are the same', async t => {
  const expected = [['john', 20], ['mary', 'not_sha1'], ['fred', 'not_six_digits'], ['harry', 'not_30_seconds'], ['1001', 20], [
    'zoë@example.com',
    20
  ]]
  const [yaml, csv, uris] = ['authelia.yml', 'authelia.csv', 'authelia.txt'].map(name => readAuthelia(fixture(name))) as [
    Found[],
    Found[],
    Found[]
  ]
  t.same([made(yaml), made(uris)], [expected, expected])
  t.same(made(csv), [...expected, [undefined, 'malformed']], 'a comma that is not quoted')
  for (const found of [yaml, csv, uris]) t.ok(isOf(found[0], 31) && isOf(found[5], 36) && found[5]?.email === 'zoë@example.com')
  t.same([yaml[1]?.row, csv[1]?.row, uris[1]?.row], ['2', '3', '2'])
  // A name is what stands there, whatever else YAML would make of it.
  const names = (name: string): Found[] =>
    readAuthelia(`totp_configurations:\n  - username: ${name}\n    algorithm: SHA1\n    digits: 6\n    period: 30\n    secret: ''\n`)
  for (const name of ['007', 'no', 'null', '1e3', '0x10', '2026-01-01']) {
    t.match(names(name), [{ username: name, content: { reason: 'no_secret' } }])
  }
  t.match(readAuthelia('totp_configurations:\n  - username: [x]\n'), [{ row: '1', username: undefined, content: { reason: 'not_sha1' } }])
  t.match(readAuthelia('totp_configurations:\n  - {algorithm: SHA1, digits: 6, period: 30}\n'), [{ content: { reason: 'no_secret' } }])
  t.throws(() => readAuthelia('a: b\nx: "canary\n'), /^The file is not YAML: line \d\.$/)
  for (const file of ['', 'x', 'totp_configurations: {}', 'identifiers: []']) t.throws(() => readAuthelia(file), /no totp_configurations/)
})

t.test('Aegis: SHA-256, eight digits, 60 seconds, Steam\'s and others stay behind', async t => {
  const found = readAegis(fixture('aegis.json'))
  t.same(made(found), [
    ['alice@example.com', 20],
    ['bob', 'not_sha1'],
    ['carol', 'not_six_digits'],
    ['dave', 'not_30_seconds'],
    ['erin', 'not_totp'],
    ['frank', 'steam'],
    ['gina', 'not_totp'],
    ['heidi', 20],
    ['alice@example.com', 20]
  ])
  t.match(found[0], { email: 'alice@example.com', issuer: 'Example', row: /^[0-9a-f-]{36}$/ })
  t.ok(isOf(found[0], 11))
  t.equal(found[8]?.issuer, 'GitHub')
  t.match(readAegis('{"db":{"entries":[{"type":"totp"},{"type":"totp","info":{"algo":"SHA1","digits":6,"period":30}}]}}'), [{
    row: '1',
    content: { reason: 'malformed' }
  }, { row: '2', content: { reason: 'no_secret' } }])
  t.throws(() => readAegis('{"version":1,"db":"c2VhbGVk"}'), /^The vault is encrypted: export it without a password\.$/)
  for (const file of ['{}', '[]', '{"db":{}}']) t.throws(() => readAegis(file), /no entries/)
})

t.test('Bitwarden: items with an authenticator, by the user name of the item or else of the key URI', async t => {
  const found = readBitwarden(fixture('bitwarden.json'))
  t.same(made(found), [['alice', 20], ['bob@example.com', 20], ['carol', 'not_sha1'], ['dave', 'steam'], [undefined, 20], ['alice', 20]])
  t.same(found.map(({ issuer }) => issuer), ['Example', 'Example', 'Example', 'Example', 'Example', 'GitHub'])
  t.ok(isOf(found[0], 21) && isOf(found[1], 22))
  t.match(readBitwarden('{"items":[{"type":1},{"login":{"totp":"otpauth://totp/a?secret=x1"}}]}'), [{
    row: '2',
    username: 'a',
    issuer: undefined,
    content: { reason: 'no_base32' }
  }])
  t.throws(
    () => readBitwarden('{"encrypted":true,"passwordProtected":true,"data":"2.x"}'),
    /^The vault is encrypted: export it as JSON without encryption\.$/
  )
  for (const file of ['{}', '[]', '{"encrypted":false}']) t.throws(() => readBitwarden(file), /no items/)
})

t.test('Google Authenticator: all QR codes of an export, and none of them alone', async t => {
  const file = fixture('google-authenticator.txt')
  const found = readGoogleAuthenticator(`\n${file}`)
  t.same(made(found), [
    ['alice@example.com', 20],
    ['bob', 20],
    ['carol', 'not_sha1'],
    ['dave', 'not_six_digits'],
    ['erin', 'not_totp'],
    ['alice', 20],
    ['Jürgen', 20],
    ['gina', 'secret_too_short']
  ])
  t.same(found.map(({ row, issuer }) => [row, issuer]).slice(3, 6), [['2/4', 'Example'], ['3/1', 'Example'], ['3/2', 'GitHub']])
  t.ok(isOf(found[0], 1) && isOf(found[6], 7))
  const [first = '', second = ''] = file.trim().split('\n')
  t.throws(() => readGoogleAuthenticator(first), {
    name: 'ImportError',
    message: 'The file has 1 of the 2 QR codes of one export: add the others, each on a line.'
  })
  t.throws(() => readGoogleAuthenticator(`${second}\n${second}`), /1 of the 2/)
  t.equal(readGoogleAuthenticator(`${second}\r\n${first}`).length, 8, 'in any order')
  t.same(
    readGoogleAuthenticator(file.replaceAll('%2B', '+').replaceAll('%2F', '/').replaceAll('%3D', '=')),
    readGoogleAuthenticator(file),
    'unescaped, as scanners print it'
  )
  t.throws(() => readGoogleAuthenticator('\n'), /no otpauth-migration: URI/)
  for (
    const line of [
      'otpauth://totp/x',
      'otpauth-migration://offline?data=',
      'otpauth-migration://offline?data=a%20b',
      'otpauth-migration://offline'
    ]
  ) t.throws(() => readGoogleAuthenticator(`${first}\n${line}`), /^Line 2 is not a whole otpauth-migration: URI\.$/)

  const uri = (...bytes: number[]): string => `otpauth-migration://offline?data=${Buffer.from(bytes).toString('base64url')}`
  t.throws(() => readGoogleAuthenticator(uri(0x0a, 0x7f, 0x01)), /not whole/)
  t.throws(() => readGoogleAuthenticator(uri(0x0a)), /not whole/)
  t.throws(() => readGoogleAuthenticator(uri(0x0d, 1, 2, 3, 4)), /something else than authenticators/)
  // A name that is not UTF-8, and an entry without anything.
  t.match(readGoogleAuthenticator(uri(0x0a, 0x03, 0x12, 0x01, 0xfc)), [{ row: '1/1', content: { reason: 'malformed' } }])
  t.match(readGoogleAuthenticator(uri(0x0a, 0x00)), [{ username: undefined, issuer: undefined, content: { reason: 'secret_too_short' } }])
  t.same(readFields(Buffer.from('10959aef3a', 'hex')), [{ number: 2, value: 123456789n }])
})

t.test('JSON may be lines of it; what is neither is said, and nothing of it is shown', async t => {
  t.throws(() => readAllauth('{'), { name: 'ImportError', message: 'The file is not JSON.' })
  t.throws(() => readAllauth('- model: mfa.authenticator\n'), { message: 'The file is not JSON.' })
  t.throws(() => readAllauth(`${JSON.stringify(authenticator(1))}\n{"canary\n`), {
    message: 'The file is not JSON: its first lines are, one a line, and line 2 is not.'
  })
  t.throws(() => readAllauth(`${JSON.stringify(authenticator(1))}\n7\n`), /line 2 is not/)
  t.throws(() => readKeycloak('{"realm":"one"}\n{"realm":"two"}'), /export with --users/)
})

t.test('passkeys stay behind, and it is said of each', async t => {
  const credentials = [{ id: 'c1', type: 'password' }, { id: 'c2', type: 'webauthn', userLabel: 'Key' }, { type: 'webauthn-passwordless' }]
  const keycloak = readKeycloak(JSON.stringify({ users: [{ id: 'u1', username: 'alice', credentials }] }))
  t.same(keycloak.map(({ row, id, content }) => [row, id, content]), [['c2', 'u1', { reason: 'passkey' }], ['u1/3', 'u1', {
    reason: 'passkey'
  }]])
  const betterAuth = readBetterAuth(JSON.stringify({
    twoFactor: [],
    user: [{ id: 'u1', email: 'alice@example.com' }],
    passkey: [{ id: 'p1', userId: 'u1', publicKey: 'x' }, { user_id: 'u2' }, {}]
  }), {})
  t.same(betterAuth.map(({ row, id, email, content }) => [row, id, email, content]), [['p1', 'u1', 'alice@example.com', {
    reason: 'passkey'
  }], ['passkey/2', 'u2', undefined, { reason: 'passkey' }], ['passkey/3', undefined, undefined, { reason: 'passkey' }]])
})
