import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Problem } from './problem.ts'

/** `application/json`, in UTF-8 if it names a charset (RFC 9110 §8.3). */
const JSON_TYPE = /^application\/json *(; *charset="?utf-8"? *)?$/i

/** Bodies are JSON objects in UTF-8; one that is absent or empty is `{}`. */
export function registerJson (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
    if (!JSON_TYPE.test(type) || encoding !== 'identity') done(new Problem('unsupported_media_type'))
    else if (body === '') done(null, {})
    else parse(request, body as string, done)
  })
  app.addHook('preValidation', async (request: FastifyRequest) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
  })
}
