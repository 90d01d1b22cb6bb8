// A kind of factor that tests alone have: a pad of numbered codes, each good once, and none before one that was used. It has no
// parameters, no time and no `nextCodeAt`, so what TOTP needs and no other kind does is missed nowhere.
import { createHmac, randomBytes } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { open } from '../../../src/core/seal.ts'
import { auditOf, type FactorKind } from '../../../src/factors/factor-kind.ts'
import { Label, tokenExample, tokenFields, Uuid } from '../../../src/mfa/schema.ts'

export const codeOf = (secret: Uint8Array, number: number): string => createHmac('sha256', secret).update(String(number)).digest('hex').slice(0, 8)

const code = { number: Type.Integer({ minimum: 1 }), code: Type.String({ pattern: '^[0-9a-f]{8}$' }) }
const PadRequest = Type.Object({ label: Type.Optional(Label) }, { $id: 'PadRequest', additionalProperties: false })
const PadAnswer = Type.Object({ factorId: Uuid, secret: Type.String(), expiresAt: Type.String() }, { $id: 'PadAnswer' })
const PadConfirmRequest = Type.Object({ factorId: Uuid, ...code }, { $id: 'PadConfirmRequest', additionalProperties: false })
const PadConfirmAnswer = Type.Object({ factorId: Uuid, recoveryCodes: Type.Union([Type.Array(Type.String()), Type.Null()]), ...tokenFields }, { $id: 'PadConfirmAnswer' })
const PadVerifyRequest = Type.Object({ factorId: Type.Optional(Uuid), ...code }, { $id: 'PadVerifyRequest', additionalProperties: false })
const PadVerifyAnswer = Type.Object({ ...tokenFields, factorId: Uuid }, { $id: 'PadVerifyAnswer', examples: [{ ...tokenExample }] })
type Sent = Static<typeof PadVerifyRequest>

const texts = (what: string): { summary: string, description: string, answered: string, ifUnknown: string } =>
  ({ summary: what, description: what, answered: what, ifUnknown: 'Look at GET /mfa/status.' })

export const pad: FactorKind = {
  kind: 'pad',
  amr: ['pad'],
  acr: 'mfa',
  audit: auditOf('pad'),
  schemas: [PadRequest, PadAnswer, PadConfirmRequest, PadConfirmAnswer, PadVerifyRequest, PadVerifyAnswer],
  calls: {
    start: { path: '/mfa/pads', id: 'startPad', body: 'PadRequest', answer: 'PadAnswer', ...texts('Start a pad') },
    confirm: { path: '/mfa/pads/confirm', id: 'confirmPad', body: 'PadConfirmRequest', answer: 'PadConfirmAnswer', ...texts('Confirm a pad') },
    verify: { path: '/mfa/pads/verify', id: 'verifyPad', body: 'PadVerifyRequest', answer: 'PadVerifyAnswer', ...texts('Prove a pad') }
  },
  start () {
    const secret = randomBytes(16)
    return { secret, parameters: { algorithm: null, digits: null, period: null }, show: () => ({ secret: secret.toString('hex') }) }
  },
  confirm ({ tenant, userId }, pending, body, { ring }) {
    const { number, code } = body as Sent
    const isRight = open(ring, { ...pending, tenant, userId }, pending, secret => codeOf(secret, number) === code)
    return isRight ? { outcome: 'match', counter: number } : { outcome: 'refused', near: null }
  },
  // As a kind does whose proofs take their time.
  async verify ({ tenant, userId }, factors, body, { ring }) {
    const { number, code } = body as Sent
    const factor = factors.find(each => open(ring, { ...each, tenant, userId, factorId: each.id }, each, secret => codeOf(secret, number) === code))
    if (factor === undefined) return { outcome: 'refused', weight: factors.length, near: null, unreadable: [] }
    return { ...number > factor.counter ? { outcome: 'match', factor, counter: number } : { outcome: 'spent' }, unreadable: [] }
  },
  view: () => ({})
}
