import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { decodeUtf8 } from '../../platform/text.ts'
import { Problem } from '../problem.ts'

/** `application/json`, in UTF-8 if it names a charset (RFC 9110 §8.3). */
const JSON_TYPE = /^application\/json *(; *charset="?utf-8"? *)?$/i

/**
 * Bodies are JSON objects in UTF-8 (RFC 8259 §8.1), since what is decoded leniently is another name; one that is absent or empty
 * is `{}`.
 */
export function registerJson (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
    if (!JSON_TYPE.test(type) || encoding !== 'identity') return done(new Problem('unsupported_media_type'))
    if (body.length === 0) return done(null, {})
    if (!isUtf8(body as Buffer)) return done(new Problem('invalid_request', { errors: [{ field: 'body', message: 'is not UTF-8' }] }))
    parse(request, decodeUtf8(body as Buffer), done)
  })
  app.addHook('preValidation', async (request: FastifyRequest) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
  })
}
