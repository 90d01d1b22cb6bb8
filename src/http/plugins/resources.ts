import type { FastifyInstance, FastifyRequest } from 'fastify'
import Router from 'find-my-way'
import { REQUEST_LIMITS } from './limits.ts'

/** A path as its routes name it, and the methods that it has. */
export interface Resource { url: string, methods: Set<string> }

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose path it is, also where that has no such method; undefined where nothing of ours is there. */
    resource: Resource | undefined
  }
}

/**
 * Tells what Fastify's router does not, which looks among the paths of one method: whose path is it? By the same router, of
 * paths alone. A route for each method that a path does not have would be a thousand more, and a tenth of the start. Call it
 * before the routes.
 */
export function registerResources (app: FastifyInstance): void {
  const resources = new Map<string, Resource>()
  const paths = Router(REQUEST_LIMITS.routerOptions)
  app.addHook('onRoute', ({ url, method }) => {
    const known = resources.get(url)
    const resource = known ?? { url, methods: new Set() }
    for (const each of [method].flat()) resource.methods.add(each)
    if (known !== undefined) return
    resources.set(url, resource)
    // Below a wildcard there are many, and which of them there are the route says.
    if (!url.includes('*')) paths.on('GET', url, Object, resource)
  })
  app.decorateRequest('resource', {
    getter (this: FastifyRequest) {
      const { url } = this.routeOptions
      return url === undefined ? paths.find('GET', this.url)?.store as Resource | undefined : resources.get(url)
    }
  })
}
