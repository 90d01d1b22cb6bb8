import type { FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'

/** Does it name this media type as one that it takes (RFC 9110 §12.5.1)? `*` names none: what is not asked for stays as it is. */
export const accepts = ({ headers }: Pick<FastifyRequest, 'headers'>, type: string): boolean =>
  new Negotiator({ headers }).mediaTypes().some(each => each.toLowerCase() === type)
