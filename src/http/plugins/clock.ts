import type { FastifyInstance } from 'fastify'
import type { ClockSkew } from '../../platform/clock-skew.ts'
import { DETAILS, Problem } from '../problem.ts'

/** Judges no code by a clock that is wrong: before the token, which the same clock would call too new. Nothing is counted. */
export function refuseCodesByWrongClock (app: FastifyInstance, skew: ClockSkew): void {
  app.addHook('onRequest', async request => {
    if (skew.isTooLarge && request.routeOptions.config.codeKind !== undefined) throw new Problem('unavailable', { detail: DETAILS.clock })
  })
}
