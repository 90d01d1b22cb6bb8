import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { peerIn } from '../http/auth/gateway.ts'
import { operation } from '../http/openapi.ts'
import { ALL_METHODS } from '../http/plugins/methods.ts'
import { DETAILS, FORBIDDEN, Problem, PROBLEMS } from '../http/problem.ts'
import { firstTime } from '../platform/first-time.ts'
import type { Services } from '../services.ts'
import { createAsk, type Outcome } from './ask.ts'
import type { AuthorizationCache } from './authorization-cache.ts'
import { headerValue, isPageRequest } from './forwarded.ts'
import { createPages } from './pages.ts'
import { AuthorizeQuery } from './schema.ts'

const ABOUT =
  'Takes any method, and any path below this one; there it ignores query, body and content type. A slash at the end makes no ' +
  'difference. `X-MFA-Action` (`verify`, `enroll` or `login`) and `X-MFA-Location` say where the user goes next. `return_to` in it is ' +
  'the URL that a trusted proxy gives in `X-Forwarded-Proto`, `-Host` and `-Uri` (or `X-Original-URL`), if its host is allowed ' +
  "(`RETURN_HOSTS`). A machine's token is 403. MFA tokens are checked without the database; remembered sessions cost one query every " +
  '30 seconds, those of a trusted device one each time. Where the policy asks for passkeys, what was proved by a code costs one each ' +
  'time. A revoked token is dead within a second. There is no flood limit, and no answer to pages of other origins.'

const ALLOWED =
  'Let it through. Has `X-MFA-User` (`userId`), `X-MFA-Subject`, `X-MFA-Namespace`, `X-MFA-Tenant`, `X-MFA-Acr` (`mfa`, ' +
  '`mfa-recovery`, `mfa-device`, `idp-mfa` or `none`; `phr` if you asked for it) and `X-MFA-Reason`, always all of them, percent-encoded ' +
  '(UTF-8) where they are not printable ASCII. Your application takes the user from these headers only.'

/** One question of gateways: may this token pass? */
export function registerAuthorize (app: FastifyInstance, services: Services, cache: AuthorizationCache): void {
  const answer = createAnswer(services, cache)
  const isTrustedPeer = peerIn(services.config.TRUSTED_PROXIES)
  const answers = { 200: { description: ALLOWED } }

  const authorize: Handler = async (request, reply) => await answer(request, reply, false)
  register(app, '/mfa/authorize', authorize, {
    id: 'authorize', summary: 'Ask whether a token may pass, for gateways that decide by the status', description: ABOUT, answers
  })

  const forwardAuth: Handler = async (request, reply) => await answer(request, reply, isPageRequest(request, isTrustedPeer(request)))
  register(app, '/mfa/forward-auth', forwardAuth, {
    id: 'forwardAuth',
    summary: 'Ask whether a token may pass, for gateways that hand the answer to the browser',
    description:
      'Like `/mfa/authorize`, but redirects a browser to `X-MFA-Location`, if there is one. A browser is a GET or HEAD (by a ' +
      `trusted proxy's \`X-Forwarded-Method\`, else the call's own) that accepts \`text/html\`. ${ABOUT}`,
    answers: { ...answers, 302: { description: 'To `X-MFA-Location`.' } }
  })
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

/** Answered before a body is looked at, whatever it is, and by any method; the specification names GET. */
function register (
  app: FastifyInstance,
  url: string,
  handler: Handler,
  documented: Pick<Parameters<typeof operation>[0], 'id' | 'summary' | 'description' | 'answers'>
): void {
  const route = { onRequest: handler, handler, config: { isForDisabled: true, isQuestion: true } }
  app.get(url, {
    ...route,
    exposeHeadRoute: false,
    schema: operation({
      ...documented,
      tag: 'Gateway',
      isUncounted: true,
      querystring: AuthorizeQuery,
      errors: ['step_up_required', 'enrollment_required', 'login_time_unknown']
    })
  })
  app.route({ ...route, url, method: ALL_METHODS.filter(method => method !== 'GET'), schema: { hide: true, querystring: AuthorizeQuery } })
  app.route({ ...route, url: `${url}/*`, method: ALL_METHODS, schema: { hide: true } })
}

/** `reason`: what the action does not say, for gateways that hand on no body. */
interface Refusal { problem: Problem, page: string | undefined, variable: string, reason?: string }

function createAnswer (
  services: Services,
  cache: AuthorizationCache
): (request: FastifyRequest, reply: FastifyReply, isPage: boolean) => Promise<FastifyReply> {
  const { auth, config, refusals, warnOfLoginTime } = services
  const ask = createAsk(services, cache)
  const pages = createPages(config)

  /** Why not, the page that helps, and the variable that names it. */
  function refusalOf (outcome: Exclude<Outcome, { action: 'allow' | 'deny' }>, request: FastifyRequest): Refusal {
    switch (outcome.action) {
      case 'verify': return {
        problem: new Problem('step_up_required', {
          action: 'verify',
          maxAge: outcome.demands.maxAge ?? config.MFA_SESSION_MAX_AGE_SECONDS,
          ...(outcome.acr === 'phr' && { acr: outcome.acr, detail: DETAILS.phr })
        }),
        page: pages.verify(request, outcome.acr),
        variable: 'VERIFY_PAGE_URL'
      }
      case 'enroll': return enrollment(outcome, request)
      case 'login': return { problem: outcome.refused, page: pages.login(request, auth.claimedIssuer(request)), variable: 'LOGIN_PAGE_URL' }
    }
  }

  function enrollment ({ login, caller, acr }: Extract<Outcome, { action: 'enroll' }>, request: FastifyRequest): Refusal {
    const options = { status: config.GATEWAY_ENROLL_STATUS, ...(acr === 'phr' && { acr }) }
    if (login === 'old') {
      const page = pages.login(request, caller.issuerClaims?.issuer, config.LOGIN_FRESH_SECONDS)
      return { problem: new Problem('enrollment_required', { ...options, detail: DETAILS.loginFirst }), page, variable: 'LOGIN_PAGE_URL' }
    }
    const page = pages.enroll(request, acr)
    if (login === 'unknown') {
      warnOfLoginTime(caller)
      // Not the log-in page, which would come straight back. The set-up page says why it can't go on.
      return { problem: new Problem('login_time_unknown', options), page, variable: 'ENROLL_PAGE_URL', reason: 'login_time_unknown' }
    }
    const detail = page !== undefined ? PROBLEMS.enrollment_required.detail : acr === 'phr' ? DETAILS.noPasskey : DETAILS.enroll
    return { problem: new Problem('enrollment_required', { ...options, detail }), page, variable: 'ENROLL_PAGE_URL' }
  }

  const isNew = firstTime()
  /** Once for each variable: it is no fault where only programs come by. */
  function warnOfMissing (request: FastifyRequest, variable: string, action: string): void {
    if (!isNew(variable)) return
    request.log.warn(
      `a gateway asked about a user who must ${action.replace('login', 'log in')}, and there is no page to send them to: browsers see ` +
      `raw JSON. Set ${variable}`
    )
  }

  return async (request, reply, isPage) => {
    const outcome = await ask(request)
    if (outcome.action === 'allow') return await reply.headers(identityHeaders(outcome)).send()
    if (outcome.action === 'deny') throw new Problem('forbidden', { detail: FORBIDDEN.disabled })
    const { problem, page, variable, reason } = refusalOf(outcome, request)
    reply.header('x-mfa-action', outcome.action)
    if (reason !== undefined) reply.header('x-mfa-reason', reason)
    if (page === undefined) {
      warnOfMissing(request, variable, outcome.action)
      throw problem
    }
    reply.header('x-mfa-location', page)
    if (isPage) {
      if (outcome.action === 'login') refusals.tell(request, outcome.refused)
      return await reply.redirect(page, 302)
    }
    throw problem
  }
}

function identityHeaders (
  { caller: { subject, namespace, tenant }, userId, acr, reason }: Extract<Outcome, { action: 'allow' }>
): Record<string, string> {
  return {
    'x-mfa-user': userId,
    'x-mfa-subject': headerValue(subject),
    'x-mfa-namespace': headerValue(namespace),
    'x-mfa-tenant': headerValue(tenant),
    'x-mfa-acr': acr,
    'x-mfa-reason': reason
  }
}
