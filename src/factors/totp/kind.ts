import QRCode from 'qrcode'
import { auditOf, type FactorKind, type KindContext } from '../factor-kind.ts'
import { AUTHENTICATOR, MAX_GUESSABLE } from '../labels.ts'
import { BY_COUNTER } from '../settlement.ts'
import { type ConfirmRequest, TOTP_SCHEMAS, type VerifyRequest } from './schema.ts'
import { base32, DEFAULT_PARAMETERS, generateSecret, isTotp, otpauthUri, stepAt, stepEnd, TOTP_KIND } from './totp.ts'
import { confirmCode, verifyCode, type VerifySettings } from './verify.ts'

/** In shades of grey, a byte a pixel and unfiltered: a third of the text that the library makes unasked, and less than half of the work. */
const toImage = async (uri: string): Promise<string> => {
  const rendererOpts = { colorType: 0, filterType: 0, deflateLevel: 6, deflateStrategy: 0 }
  const png = await QRCode.toBuffer(uri, { errorCorrectionLevel: 'M', rendererOpts })
  return `data:image/png;base64,${png.toString('base64')}`
}

const settingsOf = ({ ring, config }: KindContext): VerifySettings => ({ ring, window: config.TOTP_WINDOW })

/** Codes of an authenticator app (RFC 6238). */
export const totp: FactorKind = {
  kind: TOTP_KIND,
  noun: AUTHENTICATOR,
  amr: ['otp'],
  acr: 'mfa',
  audit: auditOf(TOTP_KIND),
  most: MAX_GUESSABLE,
  settlement: BY_COUNTER,
  says: { missing: 'noAuthenticator' },
  schemas: TOTP_SCHEMAS,
  calls: {
    start: {
      path: '/mfa/enroll',
      id: 'startEnrollment',
      summary: 'Start setting up an authenticator',
      description:
        'Answers the secret as a QR code and as text, once. It counts only after `POST /mfa/enroll/confirm`, within ten minutes and in ' +
        'the same login session. A start replaces an earlier one that was not confirmed. Active authenticators stay as they are. ' +
        'The first authenticator needs a fresh login. If the token does not say when the login was, the answer is ' +
        '`login_time_unknown`, and a new login would not help. If the `action` of `step_up_required` is `recovery`, it needs a code ' +
        'from an administrator, at `POST /mfa/recovery`. A further authenticator needs a fresh MFA token.',
      body: 'EnrollRequest',
      answer: 'EnrollAnswer',
      answered: 'Started: show the QR code, and the secret beside it.',
      ifUnknown: 'Its secret is lost. Start again: the new start takes its place.'
    },
    confirm: {
      path: '/mfa/enroll/confirm',
      id: 'confirmEnrollment',
      summary: 'Prove a code of the new authenticator, so that it counts',
      description:
        'The code is used up. With the first authenticator you get ten recovery codes. Show them, offer to save them, and call `POST ' +
        '/mfa/recovery/acknowledge` when the user has saved them. The fifth wrong code ends the set-up.',
      body: 'ConfirmRequest',
      answer: 'ConfirmAnswer',
      answered: 'Active. Has the recovery codes, and an MFA token.',
      ifUnknown:
        'Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/verify and its next code. ' +
        'If `recoveryCodes.acknowledgedAt` is null, the user has not seen the recovery codes: make new ones, POST /mfa/recovery/codes.'
    },
    verify: {
      path: '/mfa/verify',
      id: 'verify',
      summary: 'Prove the second factor with a code of the authenticator',
      description:
        'Accepts each code once. Codes of the time steps just before and after are fine. Without `factorId` every active authenticator ' +
        'is tried. The answer is the same for a code that is wrong, used, expired, or of another user or authenticator.',
      body: 'VerifyRequest',
      answer: 'VerifyAnswer',
      answered: 'Accepted. Has the MFA token.',
      ifUnknown:
        'Look at GET /mfa/status. If `lastUsedAt` of a factor is just now, this code is used up and its token lost. ' +
        'POST /mfa/token gives a token if the session is remembered; otherwise use the next code.'
    }
  },
  start ({ config }) {
    const secret = generateSecret()
    return {
      secret,
      parameters: DEFAULT_PARAMETERS,
      async show ({ account }) {
        const uri = otpauthUri(secret, config.TOTP_ISSUER_NAME, account)
        return { secret: base32(secret), otpauthUri: uri, qrCode: await toImage(uri) }
      }
    }
  },
  confirm: (user, pending, body, context) => confirmCode(user, pending, (body as ConfirmRequest).code, context.now, settingsOf(context)),
  verify: (user, factors, body, context) =>
    verifyCode(user, factors.filter(isTotp), (body as VerifyRequest).code, context.now, settingsOf(context)),
  view: ({ counter, period }, now) => ({ nextCodeAt: nextCodeAt(counter, period as number, now) })
}

/** When the next code is taken, where this step's is spent. */
const nextCodeAt = (counter: number, period: number, now: Date): string | null =>
  counter >= stepAt(now, period) ? stepEnd(counter, period).toISOString() : null
