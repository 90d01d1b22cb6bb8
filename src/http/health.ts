import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { Problem } from './problem.ts'
import { operation } from './openapi.ts'

const Health = Type.Object({ status: Type.Literal('ok') }, { $id: 'Health', examples: [{ status: 'ok' }] })

/** Liveness says that the process answers, readiness that it can serve: the database is there, with our tables. */
export function registerHealth (app: FastifyInstance, isReady: () => Promise<unknown>): void {
  app.addSchema(Health)
  app.get('/health/live', {
    schema: operation({ id: 'getLiveness', tag: 'Operation', summary: 'Is the process alive?', isPublic: true, answers: { 200: { schema: Type.Ref('Health'), description: 'It is.' } }, errors: [] })
  }, async () => ({ status: 'ok' }))
  app.get('/health/ready', {
    schema: operation({ id: 'getReadiness', tag: 'Operation', summary: 'Can it serve?', description: 'Asks the database.', isPublic: true, answers: { 200: { schema: Type.Ref('Health'), description: 'It can.' } }, errors: ['unavailable'] })
  }, async () => {
    await isReady().catch((cause: unknown) => { throw new Problem('unavailable', { cause }) })
    return { status: 'ok' }
  })
}
