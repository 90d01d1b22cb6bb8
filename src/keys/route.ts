import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { operation } from '../http/openapi.ts'
import { JWKS_SECONDS } from './rotation.ts'

const JwkSet = Type.Object({
  keys: Type.Array(Type.Object({
    kty: Type.String(),
    crv: Type.String(),
    x: Type.String(),
    y: Type.Optional(Type.String()),
    kid: Type.String(),
    use: Type.Literal('sig'),
    alg: Type.String()
  }))
}, {
  $id: 'JwkSet',
  examples: [{
    keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid: '2026-11', use: 'sig', alg: 'EdDSA' }]
  }]
})

/** Public keys of our tokens (RFC 7517): a verifier needs nothing else of us. */
export function registerJwks (app: FastifyInstance, keys: () => ReadonlyArray<{ publicJwk: Readonly<Record<string, string>> }>): void {
  app.addSchema(JwkSet)
  app.get('/.well-known/jwks.json', {
    schema: operation({
      id: 'getJwks',
      tag: 'Operation',
      summary: 'Read the public keys of the MFA tokens',
      description: 'A JWK set (RFC 7517). Cache it for five minutes. Ask again if you see a `kid` that is not in it.',
      isPublic: true,
      answers: { 200: { schema: Type.Ref('JwkSet'), description: 'The key set.' } },
      errors: []
    })
  }, async (_request, reply) => {
    const body = { keys: keys().map(key => key.publicJwk) }
    const etag = `"${createHash('sha256').update(JSON.stringify(body)).digest('base64url').slice(0, 22)}"`
    reply.headers({ 'cache-control': `public, max-age=${JWKS_SECONDS}`, etag })
    return body
  })
}
