import { Secret } from 'otpauth'
import { codeAt, stepAt } from '../factors/totp/totp.ts'
import { readTyped } from '../factors/typed-code.ts'
import { readOptions, refuseCall } from './options.ts'

const USAGE = `npm run code -- SECRET

Prints the six digits that an authenticator app would show now. For trying things out without a phone.

  SECRET   base32, as POST /mfa/enroll answers it in \`secret\`; spaces are fine`

const { positionals } = readOptions(USAGE, { allowPositionals: true })
const secret = readTyped(positionals.join('')).toUpperCase()
if (!/^[A-Z2-7]{16,}$/.test(secret)) {
  refuseCall(
    USAGE,
    secret === '' ? 'Name the secret.' : 'That is no secret: base32 has the letters A to Z and the digits 2 to 7, 16 of them or more.'
  )
}
process.stdout.write(`${codeAt(Secret.fromBase32(secret).bytes, stepAt(new Date()))}\n`)
