import type { FastifyRequest } from 'fastify'
import { DETAILS, Problem, type ProblemCode } from '../http/problem.ts'
import type { Services } from '../services.ts'
import type { FactorKind } from './factor-kind.ts'

/** What calls of a kind answer besides, where not every deployment has it. */
export const unofferedCodes = ({ isOffered }: FactorKind): ProblemCode[] => isOffered === undefined ? [] : ['not_offered']

/** @throws Problem not_offered where this deployment has no factors of the kind for the caller's tenant */
export function refuseUnoffered ({ config }: Services, { isOffered }: FactorKind, { caller: { tenant } }: FastifyRequest): void {
  if (isOffered?.(config, tenant) === false) throw new Problem('not_offered')
}

/** What problems of a kind say of it. */
export const detailsOf = ({ says: { missing, refused } }: FactorKind): { code_refused?: string, not_enrolled: string } =>
  ({ not_enrolled: DETAILS[missing], ...(refused !== undefined && { code_refused: DETAILS[refused] }) })

/** One answer, whatever was wrong or missing. */
export function problemOf (kind: FactorKind, code: 'code_refused' | 'not_enrolled'): Problem {
  const detail = detailsOf(kind)[code]
  return new Problem(code, detail === undefined ? {} : { detail })
}
