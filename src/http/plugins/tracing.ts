import { setTimeout as sleep } from 'node:timers/promises'
import { context, type Span, SpanKind, SpanStatusCode, trace, ROOT_CONTEXT, defaultTextMapGetter } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Spans of requests and of the settlements in them, sent to a collector by OTLP over HTTP. */
export interface Tracing {
  register: (app: FastifyInstance) => void
  /** Of a settlement that has just ended, after so many seconds. */
  settlement: (name: string, outcome: string, seconds: number) => void
  /** Sends what is left, in two seconds; throws if it is not taken. */
  stop: () => Promise<void>
}

const STOP_MS = 2000

/**
 * By hand and not by the instrumentations: those write the path into the span, and ours have users' ids in them.
 * @param endpoint of the collector, without `/v1/traces`
 */
export function startTracing (endpoint: string, version: string): Tracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` })
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'headless-mfa', 'service.version': version }),
    spanProcessors: [new BatchSpanProcessor(exporter)]
  })
  provider.register()
  const tracer = provider.getTracer('headless-mfa')
  const propagator = new W3CTraceContextPropagator()
  const spans = new WeakMap<FastifyRequest, Span>()

  return {
    register (app) {
      app.addHook('onRequest', (request, _reply, done) => {
        const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
        const route = String(request.resource?.url)
        const span = tracer.startSpan(`${request.method} ${route}`, {
          kind: SpanKind.SERVER,
          attributes: { 'http.request.method': request.method, 'http.route': route, 'request.id': request.id }
        }, parent)
        spans.set(request, span)
        context.with(trace.setSpan(parent, span), done)
      })
      app.addHook('onResponse', async (request, { statusCode }) => {
        const span = spans.get(request) as Span
        span.setAttribute('http.response.status_code', statusCode)
        if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
        span.end()
      })
    },
    settlement (name, outcome, seconds) {
      tracer.startSpan(`settle ${name}`, { kind: SpanKind.CLIENT, startTime: Date.now() - seconds * 1000, attributes: { outcome } }).end()
    },
    // The exporter tries again for ten seconds, which is longer than the end of a process may take.
    stop: async () => {
      const tooLate = sleep(STOP_MS, undefined, { ref: false }).then(() => { throw new Error('the collector does not answer') })
      await Promise.race([provider.shutdown(), tooLate])
    }
  }
}
