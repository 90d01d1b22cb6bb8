import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { Problem } from './problem.ts'

/** Of a bearer token, in characters: that of a user in a few hundred groups has 13 000. */
export const MAX_TOKEN_LENGTH = 32 * 1024

/** Of a head, in bytes: a token, and as much of everything else. Node answers what is larger by itself. */
export const MAX_HEADER_SIZE = 2 * MAX_TOKEN_LENGTH + 1024

/** What is asked of the head of a request before anything reads it. */
export function registerHead (app: FastifyInstance): void {
  app.addHook('onRequest', async ({ raw }) => {
    if (isTooLarge(raw)) throw new Problem('token_too_large')
  })
  app.addHook('preValidation', async ({ raw: { rawHeaders, url = '' } }) => {
    // Node makes a character of each byte, and the query's decoder leaves as it is what it can't decode: that would be another name.
    const index = rawHeaders.findIndex(text => !isUtf8(Buffer.from(text, 'latin1')))
    if (index >= 0) throw malformed(`headers.${(rawHeaders[index - 1] as string).toLowerCase()}`, 'is not UTF-8')
    if (url.includes('?') && !isPercentEncoded(url.slice(url.indexOf('?')))) throw malformed('querystring', 'is not percent-encoded UTF-8')
  })
}

/** One header may be as long as a token, `Bearer ` not counted, and the others may be so together. */
function isTooLarge ({ rawHeaders }: IncomingMessage): boolean {
  const longest = rawHeaders.reduce((length, text) => Math.max(length, text.length), 0)
  const others = rawHeaders.reduce((sum, text) => sum + text.length, -longest)
  return longest > 'Bearer '.length + MAX_TOKEN_LENGTH || others > MAX_TOKEN_LENGTH
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
