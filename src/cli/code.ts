import { Secret } from 'otpauth'
import { codeAt, stepAt } from '../core/totp.ts'
import { readTyped } from '../core/typed-code.ts'

/** `npm run code -- SECRET`: what an authenticator app would show now. For walks and tests without a phone. */
const secret = readTyped(process.argv.slice(2).join('')).toUpperCase()
if (!/^[A-Z2-7]{16,}$/.test(secret)) {
  process.stderr.write('npm run code -- SECRET (base32, as POST /mfa/enroll answers it)\n')
  process.exit(1)
}
process.stdout.write(`${codeAt(Secret.fromBase32(secret).bytes, stepAt(new Date()))}\n`)
