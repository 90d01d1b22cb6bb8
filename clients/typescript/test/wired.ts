// A client before the real service, which counts what it sends.
import { createMfaClient, type MfaClient, type MfaClientOptions, type MfaToken } from '../src/index.ts'
import type { User } from '../../../test/helpers/service.ts'

export interface Wired {
  mfa: MfaClient
  /** `METHOD /path` of what was sent since the last time. */
  sent: () => string[]
  /** What `onToken` was called with. */
  received: Array<MfaToken | null>
  /** What the next calls send as the first factor. */
  login: { token: string | null }
}

export function wire (user: User, options: Partial<MfaClientOptions> = {}, isListening = true): Wired {
  const { url } = user.service
  let log: string[] = []
  const received: Array<MfaToken | null> = []
  const login = { token: user.token() as string | null }
  const mfa = createMfaClient({
    baseUrl: url,
    getToken: () => login.token,
    ...(isListening && { onToken: (token: MfaToken | null) => { received.push(token) } }),
    fetch: async (address, init) => {
      log.push(`${init.method} ${address.slice(url.length)}`)
      return await fetch(address, init)
    },
    ...options
  })
  const sent = (): string[] => {
    const lines = log
    log = []
    return lines
  }
  return { mfa, sent, received, login }
}
