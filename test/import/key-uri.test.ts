import t from 'tap'
import { readKeyUri } from '../../src/import/key-uri.ts'

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
const read = (rest: string): string | number => {
  const { content } = readKeyUri(`otpauth://${rest}`)
  return 'secret' in content ? content.secret.length : content.reason
}

t.test('a key URI is read in whatever way an app writes it', async t => {
  for (const rest of [
    `totp/Example:alice?secret=${SECRET}&issuer=Example`,
    `totp/x?secret=${SECRET}&`,
    `totp/x?secret=${SECRET}&algorithm=&digits=&period=&issuer=`,
    'totp/x?secret=JBSW%20Y3DP%20EHPK%203PXP%20JBSW%20Y3DP%20EHPK%203PXP',
    'totp/x?secret=JBSW+Y3DP+EHPK-3PXP+jbsw+y3dp+ehpk+3pxp',
    `totp/x?secret=${SECRET}%3D%3D`,
    `totp/x?Secret=${SECRET.toLowerCase()}&Digits=6&PERIOD=30&Algorithm=sha-1`,
    `totp/x?algorithm=HmacSHA1&secret=${SECRET}&image=https://example.com/x.png&color=%23ff0000`,
    `totp/?secret=${SECRET}`,
    `totp?secret=${SECRET}`,
    `TOTP/caf%E9?secret=${SECRET}`,
    `totp/x #1?secret=${SECRET}&secret=${SECRET}`
  ]) t.equal(read(rest), 20, rest)
  t.equal(readKeyUri(`  otpauth://totp/x?secret=${SECRET}\n`).content !== undefined, true)
})

t.test('what we do not do is left, and the reason says what it is; nothing is changed in silence', async t => {
  for (const [rest, reason] of [
    [`totp/x?secret=${SECRET}&algorithm=SHA256`, 'not_sha1'], [`totp/x?secret=${SECRET}&algorithm=SHA11`, 'not_sha1'],
    [`totp/x?secret=${SECRET}&digits=8`, 'not_six_digits'],
    [`totp/x?secret=${SECRET}&digits=six`, 'not_six_digits'],
    [`totp/x?secret=${SECRET}&digits=6.5`, 'not_six_digits'],
    [`totp/x?secret=${SECRET}&period=60`, 'not_30_seconds'], [`totp/x?secret=${SECRET}&period=-30`, 'not_30_seconds'],
    [`hotp/x?secret=${SECRET}&counter=3`, 'not_totp'], [`yaotp/x?secret=${SECRET}`, 'not_totp'],
    [`steam/x?secret=${SECRET}`, 'steam'], [`totp/Steam:x?secret=${SECRET}&encoder=steam`, 'steam'],
    ['totp/x', 'no_secret'],
    ['totp/x?', 'no_secret'],
    ['totp/x?secret=', 'no_secret'],
    ['totp/x?secret=%20', 'no_secret'],
    ['totp/x?secret=JBSW1089', 'no_base32'],
    ['totp/x?secret=JBSWY3DPEHPK3PXP', 'secret_too_short'],
    [`totp/x?secret=${SECRET}&secret=KRUGKIDROVUWG2ZAMJZG653OEBTG66BA`, 'malformed'],
    [`totp/x?secret=${SECRET}&digits=6&digits=8`, 'malformed']
  ] as const) t.equal(read(rest), reason, rest)
  for (const uri of ['', 'JBSWY3DPEHPK3PXP', 'https://example.com', 'otpauth-migration://offline?data=x', 'otpauth:totp/x']) {
    t.same(readKeyUri(uri).content, { reason: 'no_uri' }, uri)
  }
})

t.test('whose it says that it is: the issuer before a colon is no part of the account, and another word there is', async t => {
  for (const [rest, issuer, account] of [
    ['totp/Example:alice?issuer=Example', 'Example', 'alice'],
    ['totp/Example%3A%20alice%40example.com?issuer=Example', 'Example', 'alice@example.com'],
    ['totp/Example:alice', 'Example', 'alice'],
    ['totp/alice?issuer=Example', 'Example', 'alice'],
    ['totp/corp:alice?issuer=Example', 'Example', 'corp:alice'],
    ['totp/Example:corp:alice?issuer=Example', 'Example', 'corp:alice'],
    ['totp/My%20Login:alice?issuer=My+Login', 'My Login', 'alice'],
    ['totp/alice', undefined, 'alice'],
    ['totp/Example:?issuer=Example', 'Example', undefined],
    ['totp/:alice', undefined, ':alice'],
    ['totp/?issuer=Example', 'Example', undefined], ['totp/j%FCrgen', undefined, undefined], ['totp/J%C3%BCrgen', undefined, 'Jürgen']
  ] as const) t.same([readKeyUri(`otpauth://${rest}`).issuer, readKeyUri(`otpauth://${rest}`).account], [issuer, account], rest)
})
