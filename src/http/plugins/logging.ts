import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { LoggerOptions } from 'pino'
import { UnavailableError } from '../../platform/unavailable.ts'
import { addressOf } from './limits.ts'

/** An id that a proxy gave, if it can't break a log line; else a new one. */
export function requestId ({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID()
}

/** The version that is known, and ids that are not all zeros (W3C Trace Context §3.2). */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The path alone: a query may hold what should not be there. */
const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] as string

/**
 * What pino may write. Headers and bodies are not logged at all; the redaction is for the day on which they are
 * added. Of an error come its names, codes and stack: its message may hold a query's arguments.
 */
export const loggerOptions = (level: string): LoggerOptions => ({
  level,
  redact: {
    paths: [
      '*.authorization',
      '*.cookie',
      '*["set-cookie"]',
      'headers.authorization',
      'req.headers',
      'res.headers',
      '*.code_verifier',
      '*.password',
      '*.secret',
      '*.token',
      '*.recoveryCodes',
      '*.otpauthUri',
      '*.qrCode'
    ],
    censor: '[Redacted]'
  },
  hooks: {
    // Of an error without a text beside it pino would make its message the text.
    logMethod (args, method) {
      const [given, ...rest] = args as unknown as [unknown, ...unknown[]]
      const isBare = rest.length === 0 && (given instanceof Error || (given as { err?: unknown } | null)?.err instanceof Error)
      method.apply(this, (isBare ? [given, 'error'] : args) as typeof args)
    }
  },
  serializers: {
    req: (request: FastifyRequest) => ({ method: request.method, path: pathOf(request.url), address: addressOf(request) }),
    res: (reply: { statusCode: number }) => ({ status: reply.statusCode }),
    err: serializeError
  }
})

interface SafeError { name: string, reason: string | undefined, code: unknown, frames: string[], cause: SafeError | undefined }

function serializeError (error: unknown): SafeError {
  const { name, code, message, stack, cause } = error as Error & { code?: unknown }
  return {
    name,
    // Our own sentences are safe to write; those of others may quote what they choked on.
    reason: error instanceof UnavailableError || isSafe(error as Error & FromElsewhere) ? message : undefined,
    code,
    // The stack begins with the message, which may have lines that look like frames.
    frames: String(stack).replace(message, '').split('\n').filter(line => /^\s+at .+:\d+:\d+\)?$/.test(line)).map(line => line.trim()),
    cause: cause instanceof Error ? serializeError(cause) : undefined
  }
}

interface FromElsewhere { code?: unknown, severity?: string, syscall?: string }

/**
 * Classes of SQLSTATE in which the server quotes what the operator chose (a parameter, a role, a database) or names a thing of ours
 * (a table, a function): connecting, signing in, no such database, no room, stopping; no right, no writes, no such function or table.
 */
const SAFE_STATES = /^(08|28|3D|53|57P)|^(42501|25006|42883|42P01)$/
/** What the driver says of a connection. */
const DRIVER = new RegExp(`^(${[
  'Connection terminated', 'timeout expired', 'timeout exceeded when trying to connect', 'Query read timeout',
  'The server does not support SSL', 'There was an error establishing an SSL', 'SASL: '
].join('|')})`)

/** May the log have its message? Of the database, its driver and the network that which is about the connection alone. */
const isSafe = ({ code, severity, syscall, message }: Error & FromElsewhere): boolean => severity !== undefined
  ? severity === 'FATAL' || SAFE_STATES.test(String(code))
  : DRIVER.test(message) || /^(connect|getaddrinfo|read|write)$/.test(String(syscall))

interface RequestLog {
  /** Of a request that the framework refuses before any hook. */
  logEnd: (request: FastifyRequest, reply: FastifyReply) => void
  /** Of what could not be read as a request. */
  logRefused: (socket: Socket, status: number) => void
}

/** One line a request, when it ends: also one whose caller did not wait for the answer. Its id is in the answer. */
export function registerLogging (app: FastifyInstance): RequestLog {
  // What it writes is chosen here, field by field: there is nothing to look through for secrets.
  const log = app.log.child({}, { redact: [] })

  function logEnd (request: FastifyRequest, reply: FastifyReply): void {
    reply.raw.once('close', () => {
      const traceId = TRACEPARENT.exec(String(request.headers.traceparent))?.[1]
      const { writableFinished: isAnswered, statusCode } = reply.raw
      const { problem } = request
      log.info({
        reqId: request.id,
        ...(traceId !== undefined && { traceId }),
        method: request.method,
        path: pathOf(request.url),
        ...(isAnswered ? { status: statusCode } : { aborted: true }),
        ...(problem !== undefined &&
          { code: problem.code, errors: problem.options.errors?.map(({ field, message }) => `${field} ${message}`) }),
        ms: Math.round(reply.elapsedTime * 10) / 10,
        address: addressOf(request)
      }, 'request')
    })
  }

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    logEnd(request, reply)
  })
  return {
    logEnd,
    logRefused: ({ remoteAddress }, status) => { log.info({ status, address: remoteAddress, unread: true }, 'request') }
  }
}
