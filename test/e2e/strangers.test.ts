import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startService } from '../helpers/service.ts'

// An authenticator and a QR reader that are not ours: Debian's oathtool and zbarimg.

t.test('a phone that is not ours reads the QR code and makes codes that are accepted', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'mfa-e2e-'))
  t.teardown(() => { rmSync(directory, { recursive: true }) })
  const service = await startService(t, { TOTP_ISSUER_NAME: 'Acme & Söhne' })
  const user = service.user({ preferred_username: 'alice@example.com' })
  const { body: started } = await user.call('POST', '/mfa/enroll')

  const scan = (qrCode: string): string => {
    const png = join(directory, 'qr.png')
    writeFileSync(png, Buffer.from(qrCode.split(',')[1] as string, 'base64'))
    return execFileSync('zbarimg', ['--quiet', '--raw', png], { encoding: 'utf8' }).trim()
  }
  const read = scan(started.qrCode)
  t.equal(read, started.otpauthUri)
  for (const name of ['b', 'a-name-as-long-as-half-of-a-line@example.com', 'ü'.repeat(64)]) {
    const { body } = await service.user({ preferred_username: name }).call('POST', '/mfa/enroll')
    t.equal(scan(body.qrCode), body.otpauthUri, 'a code of another size')
  }

  const secret = new URL(read).searchParams.get('secret') as string
  const code = (): string =>
    execFileSync('oathtool', ['--totp', '--base32', '--now', `@${service.clock.seconds}`, secret], { encoding: 'utf8' }).trim()
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId: started.factorId, code: code() })).status, 200)
  service.clock.advance(30)
  t.equal((await user.call('POST', '/mfa/verify', { code: code() })).status, 200)
  t.equal((await user.call('POST', '/mfa/verify', { code: code() })).status, 422)
})
