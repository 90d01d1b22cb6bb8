import { type Problem, problemOfAnswer, unreachable } from './problem.ts'
import type { Problem as ProblemBody } from './schema.ts'

/** What every call may be given. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. */
  signal?: AbortSignal
}

export type Send = <T>(
  method: string,
  path: string,
  options?: CallOptions & { ifMatch?: string },
  body?: object,
  query?: object
) => Promise<T>

/** `fetch` as this client calls it: that of browsers, Node and React Native is one. */
export type Fetch = (
  url: string,
  init: { method: string, headers: Record<string, string>, body?: string, signal?: AbortSignal }
) => Promise<Response>

export type Answer = { value: unknown, problem?: undefined } | { value?: undefined, problem: Problem }

/** One request; whatever comes back is an answer or a problem. Rejects only where `options.signal` ended it. */
export async function exchange (
  fetch: Fetch,
  method: string,
  url: string,
  token: string | undefined,
  { signal, ifMatch }: CallOptions & { ifMatch?: string } = {},
  body?: object
): Promise<Answer> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (token !== undefined) headers.Authorization = `Bearer ${token}`
  if (ifMatch !== undefined) headers['If-Match'] = ifMatch
  // With or without a body: a caller whose token is a gateway's cookie must say it.
  if (method !== 'GET') headers['Content-Type'] = 'application/json'
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal })
    })
    return await read(response)
  } catch (cause) {
    if (signal?.aborted === true) throw cause
    return { problem: unreachable(0, cause) }
  }
}

async function read (response: Response): Promise<Answer> {
  const type = response.headers.get('content-type') ?? ''
  if (!response.ok) {
    return {
      problem: type.startsWith('application/problem+json')
        ? problemOfAnswer(response, await response.json() as ProblemBody)
        : unreachable(response.status)
    }
  }
  if (type.startsWith('application/json')) return { value: await response.json() }
  if (type.startsWith('text/plain')) return { value: await response.text() }
  // A page instead of an answer: from a proxy before the service that leads to a log-in page, for instance.
  return type === '' ? { value: undefined } : { problem: unreachable(response.status) }
}

/** `?a=1&b=2` of what is given; nothing of nothing. */
export function queryString (query: object = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined).map(pair =>
    pair.map(part => encodeURIComponent(String(part))).join('=')
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}
