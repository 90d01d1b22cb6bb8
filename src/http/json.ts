import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { decodeUtf8 } from '../core/text.ts'
import { Problem } from './problem.ts'

/** `application/json`, in UTF-8 if it names a charset (RFC 9110 §8.3). */
const JSON_TYPE = /^application\/json *(; *charset="?utf-8"? *)?$/i

/**
 * Bodies are JSON objects in UTF-8 (RFC 8259 §8.1); one that is absent or empty is `{}`. What is not UTF-8 is refused, there and
 * in the head: decoded leniently it would be another name.
 */
export function registerJson (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
    if (!JSON_TYPE.test(type) || encoding !== 'identity') return done(new Problem('unsupported_media_type'))
    if (body.length === 0) return done(null, {})
    if (!isUtf8(body as Buffer)) return done(malformed('body', 'is not UTF-8'))
    parse(request, decodeUtf8(body as Buffer), done)
  })
  app.addHook('preValidation', async (request: FastifyRequest) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
    const { rawHeaders, url = '' } = request.raw
    // Node makes a character of each byte of a head.
    const index = rawHeaders.findIndex(text => !isUtf8(Buffer.from(text, 'latin1')))
    if (index >= 0) throw malformed(`headers.${(rawHeaders[index - 1] as string).toLowerCase()}`, 'is not UTF-8')
    if (url.includes('?') && !isPercentEncoded(url.slice(url.indexOf('?')))) throw malformed('querystring', 'is not percent-encoded UTF-8')
  })
}

const malformed = (field: string, message: string): Problem => new Problem('invalid_request', { errors: [{ field, message }] })

function isPercentEncoded (query: string): boolean {
  try {
    decodeURIComponent(query)
    return /^[!-~]*$/.test(query)
  } catch {
    return false
  }
}
