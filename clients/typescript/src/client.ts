import { type Operations, operations } from './operations.ts'
import { MfaError, type StepUp } from './problem.ts'
import { type Answer, type CallOptions, exchange, type Fetch, queryString, type Send } from './send.ts'
import { type MfaToken, TokenKeeper } from './token.ts'

export interface MfaClientOptions {
  /** Where the service is, such as `https://mfa.example.com`; empty for the page's own origin. */
  baseUrl: string
  /** The token of your first factor, as it is now; yours to renew. Leave it out where a gateway brings it along. */
  getToken?: () => string | null | undefined | Promise<string | null | undefined>
  /** Hears each new MFA token before the one that it had ends, and null when there is none any more. */
  onToken?: (token: MfaToken | null) => void
  /**
   * More is needed before a call can be answered: ask for a code or a passkey (`verify`; where `acr` is `phr`, for a passkey alone),
   * lead to the log-in page (`login`), or ask for an administrator's code (`recovery`). Resolve to true, and the call is made again;
   * to false, and it rejects. Calls that meet it at the same time wait for the one answer.
   */
  onStepUp?: (stepUp: StepUp) => boolean | Promise<boolean>
  /** Instead of the global one. */
  fetch?: Fetch
}

export interface MfaClient extends Operations {
  /** The MFA token for calls of your own, renewed where it is about to end; null where this session has none. */
  token: () => Promise<string | null>
  /** Drops the MFA token here, at a change of user; `endSession` also tells the service. */
  forget: () => void
}

/** What proves a factor itself is told of the login, not of what was proved before: so its token lives as long as it can. */
const OF_THE_LOGIN = /^\/mfa\/(verify|recovery|token|passkeys\/(challenge|verify))$/

/** A client of one user's session: make another for another login. */
export function createMfaClient ({ baseUrl, getToken, onToken, onStepUp, fetch: given }: MfaClientOptions): MfaClient {
  const base = baseUrl.replace(/\/$/, '')
  const fetch: Fetch = (url, init) => (given ?? globalThis.fetch)(url, init)
  const firstFactor = async (): Promise<string | undefined> => await getToken?.() ?? undefined
  const keeper = new TokenKeeper(
    async () => await exchange(fetch, 'POST', `${base}/mfa/token`, await firstFactor(), undefined, {}),
    onToken
  )
  let steppingUp: { acr: StepUp['acr'], isDone: Promise<boolean> } | undefined
  const stepUp = async (problem: StepUp): Promise<boolean> => {
    // Who is asked for a code just now may type one, and here only a passkey counts: that is another question, after this one.
    if (problem.acr !== undefined && steppingUp?.acr !== problem.acr) await steppingUp?.isDone
    steppingUp ??= {
      acr: problem.acr,
      isDone: Promise.resolve(problem).then(onStepUp).then(isDone => isDone === true).finally(() => { steppingUp = undefined })
    }
    return await steppingUp.isDone
  }

  const send: Send = async <T>(
    method: string,
    path: string,
    options?: CallOptions & { ifMatch?: string },
    body?: object,
    query?: object
  ): Promise<T> => {
    const audience = (body as { audience?: string } | undefined)?.audience
    const isOfTheLogin = method === 'POST' && OF_THE_LOGIN.test(path) && !(audience !== undefined && path === '/mfa/token')
    let used: string | undefined
    const go = async (): Promise<Answer> => {
      used = isOfTheLogin ? undefined : (await keeper.current())?.token
      return await exchange(
        fetch,
        method,
        base + path + queryString(query),
        used ?? await firstFactor() ?? keeper.held?.token,
        options,
        body
      )
    }
    let answer = await go()
    // Ended before its time, somewhere else.
    if (answer.problem?.code === 'invalid_token' && used !== undefined) {
      keeper.drop(used)
      answer = await go()
    }
    if (answer.problem?.code === 'step_up_required' && !isOfTheLogin) {
      const { problem } = answer
      // The user was just asked, here or in another tab: then they are not asked again.
      const isBetter = keeper.held !== null ? keeper.held.token !== used : problem.action === 'verify' && await keeper.renew()
      if (isBetter) answer = await go()
    }
    if (answer.problem?.code === 'step_up_required' && onStepUp !== undefined && await stepUp(answer.problem)) answer = await go()
    if (answer.problem !== undefined) throw new MfaError(answer.problem)
    if (audience === undefined) keeper.take(answer.value)
    return answer.value as T
  }

  const api = operations(send)
  const ending = (end: (options?: CallOptions) => Promise<undefined>) => async (options?: CallOptions): Promise<undefined> => {
    await end(options)
    keeper.take(null)
  }
  return {
    ...api,
    endSession: ending(api.endSession),
    endAllSessions: ending(api.endAllSessions),
    token: async () => {
      if (await keeper.current() === null) await keeper.renew()
      return keeper.held?.token ?? null
    },
    forget: () => { keeper.take(null) }
  }
}
