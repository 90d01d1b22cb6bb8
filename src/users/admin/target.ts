import type { FastifyRequest } from 'fastify'
import { recordEvent } from '../../audit/record.sql.ts'
import { byOf } from '../../guard.ts'
import { FORBIDDEN, Problem } from '../../http/problem.ts'
import type { Database } from '../../platform/db/client.ts'
import { findUserById } from '../user.sql.ts'
import type { WholeUser } from '../user.ts'
import type { UserParams } from './schema.ts'

/** As the database writes it, so that it can be compared. */
export const userIdOf = ({ params }: FastifyRequest): string => (params as UserParams).userId.toLowerCase()

/** Of the administrator's own tenant: any other user is not found. */
export const findTarget = async (db: Database, request: FastifyRequest): Promise<WholeUser> =>
  await findUserById(db, request.caller.tenant, userIdOf(request)) ?? notFound()

export function notFound (): never { throw new Problem('not_found') }

/** Support helps users who were never seen with an `mfa:` role, and no others. */
export const isSupport = ({ caller }: FastifyRequest, ...others: string[]): boolean =>
  !caller.roles.some(role => role === 'mfa:admin' || others.includes(role))

export const refuseSupport = (db: Database, request: FastifyRequest): Promise<never> => refuse(db, request, 'support of an administrator')

/** What administrators must not do to themselves takes another one. */
export async function refuseOneself (db: Database, request: FastifyRequest): Promise<void> {
  if (userIdOf(request) === request.storedUser.userId) await refuse(db, request, 'oneself')
}

async function refuse (db: Database, request: FastifyRequest, cause: keyof typeof FORBIDDEN): Promise<never> {
  await recordEvent(db, {
    tenant: request.caller.tenant,
    subject: userIdOf(request),
    action: 'access.refused',
    outcome: 'failure',
    by: byOf(request),
    details: { cause }
  })
  throw new Problem('forbidden', { detail: FORBIDDEN[cause] })
}
