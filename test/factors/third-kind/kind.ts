// A kind of factor that tests alone have: a pad of numbered codes, each good once, and none before one that was used. It is unlike TOTP
// wherever a kind may be: it has no parameters, no time and no `nextCodeAt`; its key is its user's, who answers a challenge with it; and it
// says what number is next.
import { createHmac, randomBytes } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { MAX_GUESSABLE } from '../../../src/factors/labels.ts'
import { BY_COUNTER } from '../../../src/factors/settlement.ts'
import { open } from '../../../src/keys/seal.ts'
import { auditOf, type FactorKind } from '../../../src/factors/factor-kind.ts'
import { Label, tokenExample, tokenFields, Uuid } from '../../../src/http/schema.ts'

export const codeOf = (secret: Uint8Array, what: number | string): string =>
  createHmac('sha256', secret).update(String(what)).digest('hex').slice(0, 8)

const code = { number: Type.Integer({ minimum: 1 }), code: Type.String({ pattern: '^[0-9a-f]{8}$' }) }
const PadRequest = Type.Object({ label: Type.Optional(Label) }, { $id: 'PadRequest', additionalProperties: false })
const PadAnswer = Type.Object({ factorId: Uuid, challenge: Type.String(), expiresAt: Type.String() }, { $id: 'PadAnswer' })
const PadConfirmRequest = Type.Object({ factorId: Uuid, key: Type.String({ pattern: '^[0-9a-f]{32}$' }), answer: code.code }, {
  $id: 'PadConfirmRequest',
  additionalProperties: false
})
const PadConfirmAnswer = Type.Object({
  factorId: Uuid,
  recoveryCodes: Type.Union([Type.Array(Type.String()), Type.Null()]),
  ...tokenFields
}, { $id: 'PadConfirmAnswer' })
const PadVerifyRequest = Type.Object({ factorId: Type.Optional(Uuid), ...code }, { $id: 'PadVerifyRequest', additionalProperties: false })
const PadVerifyAnswer = Type.Object({ ...tokenFields, factorId: Uuid }, { $id: 'PadVerifyAnswer', examples: [{ ...tokenExample }] })
const PadChallengeRequest = Type.Object({}, { $id: 'PadChallengeRequest', additionalProperties: false })
const PadChallenge = Type.Object({ number: Type.Integer() }, { $id: 'PadChallenge' })
type Confirming = Static<typeof PadConfirmRequest>
type Sent = Static<typeof PadVerifyRequest>

const texts = (what: string): { summary: string, description: string, answered: string, ifUnknown: string } =>
  ({ summary: what, description: what, answered: what, ifUnknown: 'Look at GET /mfa/status.' })

export const pad: FactorKind = {
  kind: 'pad',
  noun: 'Pad',
  amr: ['pad'],
  acr: 'mfa',
  audit: auditOf('pad'),
  most: MAX_GUESSABLE,
  settlement: BY_COUNTER,
  says: { missing: 'noAuthenticator' },
  schemas: [
    PadRequest,
    PadAnswer,
    PadConfirmRequest,
    PadConfirmAnswer,
    PadVerifyRequest,
    PadVerifyAnswer,
    PadChallengeRequest,
    PadChallenge
  ],
  calls: {
    start: { path: '/mfa/pads', id: 'startPad', body: 'PadRequest', answer: 'PadAnswer', ...texts('Start a pad') },
    confirm: {
      path: '/mfa/pads/confirm',
      id: 'confirmPad',
      body: 'PadConfirmRequest',
      answer: 'PadConfirmAnswer',
      ...texts('Confirm a pad')
    },
    verify: { path: '/mfa/pads/verify', id: 'verifyPad', body: 'PadVerifyRequest', answer: 'PadVerifyAnswer', ...texts('Prove a pad') }
  },
  start () {
    const secret = randomBytes(16)
    return { secret, parameters: { algorithm: null, digits: null, period: null }, show: () => ({ challenge: secret.toString('hex') }) }
  },
  confirm ({ tenant, userId }, pending, body, { ring }) {
    const { key, answer } = body as Confirming
    const secret = Buffer.from(key, 'hex')
    const isRight = open(ring, { ...pending, tenant, userId }, pending, challenge => codeOf(secret, challenge.toString('hex')) === answer)
    return isRight ? { outcome: 'match', counter: 0, secret } : { outcome: 'refused', near: null }
  },
  // As a kind does whose proofs take their time.
  async verify ({ tenant, userId }, factors, body, { ring }) {
    const { number, code } = body as Sent
    const factor = factors.find(each =>
      open(ring, { ...each, tenant, userId, factorId: each.id }, each, secret => codeOf(secret, number) === code)
    )
    if (factor === undefined) return { outcome: 'refused', weight: factors.length, near: null, unreadable: [] }
    return { ...number > factor.counter ? { outcome: 'match', factor, counter: number } : { outcome: 'spent' }, unreadable: [] }
  },
  challenge: {
    call: {
      path: '/mfa/pads/challenge',
      id: 'challengePad',
      body: 'PadChallengeRequest',
      answer: 'PadChallenge',
      ...texts('The number that is next')
    },
    make: (_user, factors) => ({ number: Math.max(...factors.map(({ counter }) => counter)) + 1 })
  },
  view: () => ({})
}
