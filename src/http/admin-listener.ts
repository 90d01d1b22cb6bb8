import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { createListener, type OnRefused } from './connections.ts'
import { DETAILS, Problem } from './problem.ts'

/** What is not for everybody who reaches the first listener. */
export const ADMIN_PATHS = /^\/(admin\/|metrics$)/

declare module 'fastify' {
  interface FastifyInstance {
    /** Starts the second listener, and says where it is. It ends with the application. */
    listenAdmin: (host: string, port: number) => Promise<string>
  }
}

/**
 * A second listener, on which everything answers; `/admin` and `/metrics` answer there alone, and are 404 elsewhere.
 * Call it before the routes. What it returns says by which of the two a request came.
 */
export function registerAdminListener (app: FastifyInstance, onRefused: OnRefused): (request: FastifyRequest) => boolean {
  const arrived = new WeakSet<IncomingMessage>()
  const isInside = ({ raw }: FastifyRequest): boolean => arrived.has(raw)
  app.addHook('onRequest', async request => {
    if (ADMIN_PATHS.test(String(request.resource?.url)) && !isInside(request)) throw new Problem('not_found', { detail: DETAILS.path })
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
