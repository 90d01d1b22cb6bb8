import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { DETAILS, Problem } from '../problem.ts'
import { createListener, type OnRefused } from './connections.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Starts the second listener, and says where it is. It ends with the application. */
    listenAdmin: (host: string, port: number) => Promise<string>
  }
}

/**
 * A second listener, on which everything answers; what has one of `paths` answers there alone, and is 404 elsewhere.
 * Call it before the routes. What it returns says by which of the two a request came.
 */
export function registerAdminListener (app: FastifyInstance, paths: RegExp, onRefused: OnRefused): (request: FastifyRequest) => boolean {
  const arrived = new WeakSet<IncomingMessage>()
  const isInside = ({ raw }: FastifyRequest): boolean => arrived.has(raw)
  app.addHook('onRequest', async request => {
    if (paths.test(String(request.resource?.url)) && !isInside(request)) throw new Problem('not_found', { detail: DETAILS.path })
  })

  const server = createListener((request, response) => {
    arrived.add(request)
    app.routing(request, response)
  }, { onRefused })
  app.drain.add(server)
  // Requests under way are served to the end, as on the first listener.
  app.addHook('preClose', done => { server.close(() => { done() }).closeIdleConnections() })

  app.decorate('listenAdmin', async (host: string, port: number) => {
    await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(port, host, resolve) })
    return `http://${host}:${(server.address() as AddressInfo).port}`
  })
  return isInside
}
