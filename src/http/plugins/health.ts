import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { ClockSkew } from '../../platform/clock-skew.ts'
import { shared } from '../../platform/shared.ts'
import { UnavailableError } from '../../platform/unavailable.ts'
import { operation } from '../openapi.ts'
import { DETAILS, Problem } from '../problem.ts'

const Health = Type.Object({ status: Type.Literal('ok') }, { $id: 'Health', examples: [{ status: 'ok' }] })

/** For so long that the database was there serves all who ask. */
const KEPT_MS = 1000

/** Liveness says that the process answers, readiness that it can serve: the database is there, with our tables, and its clock is ours. */
export function registerHealth (
  app: FastifyInstance,
  isDatabaseThere: () => Promise<unknown>,
  hasKeys: () => unknown,
  skew: ClockSkew
): void {
  const askDatabase = shared(isDatabaseThere, KEPT_MS)
  app.addSchema(Health)
  app.get('/health/live', {
    schema: operation({
      id: 'getLiveness',
      tag: 'Operation',
      summary: 'Check that the process is alive',
      isPublic: true,
      answers: { 200: { schema: Type.Ref('Health'), description: 'Alive.' } },
      errors: []
    })
  }, async () => ({ status: 'ok' }))
  app.get('/health/ready', {
    schema: operation({
      id: 'getReadiness',
      tag: 'Operation',
      summary: 'Check that the replica can serve',
      description:
        'Asks the database, at most once a second, for all callers together. A replica is not ready while its clock and that of the ' +
        'database differ by more than 45 seconds. It is not ready either once it is told to stop; it then goes on answering for ' +
        '`PRE_STOP_SECONDS`.',
      isPublic: true,
      answers: { 200: { schema: Type.Ref('Health'), description: 'Ready.' } },
      errors: ['unavailable']
    })
  }, async () => {
    if (app.drain.isBegun) throw new UnavailableError('this replica is about to stop')
    hasKeys()
    if (skew.isTooLarge) throw new Problem('unavailable', { detail: DETAILS.clock })
    await askDatabase()
    return { status: 'ok' }
  })
}
