import { type Static, Type } from 'typebox'
import { Label, tokenExample, tokenFields, Uuid } from '../../http/schema.ts'

export const FactorList = Type.Object({ items: Type.Array(Type.Ref('Factor')) }, { $id: 'FactorList' })
export const FactorParams = Type.Object({ factorId: Uuid }, { additionalProperties: false })
export type FactorParams = Static<typeof FactorParams>
export const RenameRequest = Type.Object({ label: Label }, {
  $id: 'RenameRequest',
  additionalProperties: false,
  examples: [{ label: 'My tablet' }]
})
export type RenameRequest = Static<typeof RenameRequest>
export const TokenAnswer = Type.Object(tokenFields, { $id: 'TokenAnswer', examples: [tokenExample] })

export const FACTORS_SCHEMAS = [FactorList, RenameRequest, TokenAnswer]
