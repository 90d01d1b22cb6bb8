import type { DestinationStream } from 'pino'
import pretty from 'pino-pretty'

interface RequestLine {
  msg?: string
  method?: string
  path?: string
  status?: number
  aborted?: true
  unread?: true
  ms?: number
  code?: string
  errors?: string[]
}

/** What a request's line says already, and what a reader does not look for. */
const LEFT_OUT = 'pid,hostname,reqId,traceId,address,method,path,status,aborted,unread,ms,code,errors,cause,entry,presented,count'

function messageOf ({ msg, method, path, status, aborted, unread, ms, code, errors = [] }: RequestLine): string {
  if (msg !== 'request') return msg as string
  if (unread === true) return `something that is no request: ${status as number}`
  if (aborted === true) return `${method as string} ${path as string} the caller has gone (${Math.round(ms as number)} ms)`
  const why = errors.length > 0 ? `: ${errors.join('; ')}` : ''
  return `${method as string} ${path as string} ${status as number}${code === undefined ? '' : ` ${code}`}${why} (${
    Math.round(ms as number)
  } ms)`
}

interface LoggedError { name: string, reason?: string, code?: unknown, frames?: string[], cause?: LoggedError }

const errorOf = ({ name, reason, code, frames = [], cause }: LoggedError): string =>
  `${name}${reason === undefined ? '' : `: ${reason}`}${code === undefined ? '' : ` (${String(code)})`}${
    frames[0] === undefined ? '' : ` ${frames[0]}`
  }${cause === undefined ? '' : `; ${errorOf(cause)}`}`

/** The log of development, on a terminal: a line each, of a request with what mattered. */
export const openPrettyLog = (): DestinationStream => pretty({
  sync: true,
  singleLine: true,
  translateTime: 'SYS:HH:MM:ss',
  ignore: LEFT_OUT,
  errorLikeObjectKeys: [],
  messageFormat: log => messageOf(log as RequestLine),
  customPrettifiers: { err: error => errorOf(error as unknown as LoggedError) }
})
