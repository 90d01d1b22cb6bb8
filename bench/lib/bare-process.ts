// The limit of Node: Fastify that checks a token's signature and answers, and nothing else.
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'

const app = Fastify()
await app.register(fastifyJwt, { secret: { public: process.env.PUBLIC_KEY as string }, verify: { algorithms: ['ES256'], cache: false } })
app.get('/mfa/authorize', { onRequest: async request => { await request.jwtVerify() } }, async (_request, reply) => reply.send())
process.send?.({ url: await app.listen({ host: '127.0.0.1', port: 0 }) })
process.on('disconnect', () => { process.exit() })
