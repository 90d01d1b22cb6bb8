import Fastify, { type FastifyInstance, LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import { AuditMemory } from './audit/memory.ts'
import { registerAudit } from './audit/route.ts'
import type { Config } from './config/config.ts'
import { Secrets } from './config/secrets.ts'
import { registerDevices } from './devices/route.ts'
import { registerEnroll } from './factors/enroll/route.ts'
import { registerFactors } from './factors/list/route.ts'
import { tellUnusable } from './factors/passkeys/start.ts'
import { registerRecovery } from './factors/recovery/route.ts'
import { FactorKinds } from './factors/registry.ts'
import { registerVerify } from './factors/verify/route.ts'
import { AuthorizationCache } from './gateway/authorization-cache.ts'
import { withoutOriginalPath } from './gateway/forwarded.ts'
import { registerAuthorize } from './gateway/route.ts'
import { createGuard, decorateRequests, refuseEnded } from './guard.ts'
import { registerAuth } from './http/auth/auth.ts'
import { loginTimeWarning } from './http/auth/login-time.ts'
import { Refusals } from './http/auth/refusals.ts'
import { throughProxy } from './http/auth/through-proxy.ts'
import { compilersAtFirstUse } from './http/compilers.ts'
import { registerErrors, SAYS_WHAT_IS_MEANT, sendProblem, toProblem } from './http/errors.ts'
import { registerHead } from './http/head.ts'
import { registerOpenapi } from './http/openapi.ts'
import { registerAdminListener } from './http/plugins/admin-listener.ts'
import { registerBudget } from './http/plugins/budget.ts'
import { refuseCodesByWrongClock } from './http/plugins/clock.ts'
import { createListener } from './http/plugins/connections.ts'
import { registerConsole } from './http/plugins/console.ts'
import { registerDrain } from './http/plugins/drain.ts'
import { registerHealth } from './http/plugins/health.ts'
import { registerJson } from './http/plugins/json.ts'
import { registerLimits, REQUEST_LIMITS } from './http/plugins/limits.ts'
import { loggerOptions, registerLogging, requestId } from './http/plugins/logging.ts'
import { registerMethods } from './http/plugins/methods.ts'
import { countRequests, Metrics, registerMetrics } from './http/plugins/metrics.ts'
import { registerResources } from './http/plugins/resources.ts'
import type { Tracing } from './http/plugins/tracing.ts'
import { sharedSchemas } from './http/schema.ts'
import { registerJwks } from './keys/route.ts'
import { within } from './platform/address.ts'
import { Hasher } from './platform/bcrypt/hashing.ts'
import { bcryptThreads } from './platform/bcrypt/threads.ts'
import { ClockSkew } from './platform/clock-skew.ts'
import type { Database } from './platform/db/client.ts'
import { checkReady } from './platform/db/readiness.ts'
import { registerPreview } from './policy/preview/route.ts'
import { registerPolicy } from './policy/route.ts'
import { assuranceSettings, type Services } from './services.ts'
import { RevocationPoll } from './sessions/revocations.sql.ts'
import { registerSession } from './sessions/route.ts'
import { timed, watchDatabase } from './telemetry.ts'
import { registerUserActions } from './users/admin/actions/route.ts'
import { registerUserList } from './users/admin/list/route.ts'
import { registerUsers } from './users/admin/route.ts'
import { registerStats } from './users/admin/stats/route.ts'
import { registerUserSync } from './users/admin/sync/route.ts'
import { registerStatus } from './users/status/route.ts'
import { webhooksOfSpecification } from './webhooks/openapi.ts'
import { registerWebhooks } from './webhooks/route.ts'

export const VERSION = '0.1.0'

/** What is not for all who reach the first listener, where there is a second one (`ADMIN_PORT`). */
const ADMIN_PATHS = /^\/(admin\/|metrics$)/

export interface AppOptions {
  config: Config
  /** The keys as they are now; without it those of `config`. */
  secrets?: Secrets
  db: Database
  /** The kinds of factor; those of the registry if not given. */
  kinds?: FactorKinds
  /** What this process knows of the audit, which its worker adds to. */
  memory?: AuditMemory
  /** How far this replica's clock is from the database's, if it is measured. */
  skew?: ClockSkew
  /** The time of TOTP steps and tokens; waits and locks are the database's. */
  clock?: () => Date
  /** Where the log goes; standard output if not given. */
  logStream?: DestinationStream
  metrics?: Metrics
  tracing?: Tracing
}

/** The service without a socket: routes, in the order in which a request meets what they need. */
export async function createApp (
  {
    config,
    secrets = new Secrets(config),
    db,
    kinds = new FactorKinds(),
    memory = new AuditMemory(),
    skew = new ClockSkew(),
    clock = () => new Date(),
    logStream,
    metrics = new Metrics(),
    tracing
  }: AppOptions
): Promise<FastifyInstance> {
  const logger = { ...loggerOptions(config.LOG_LEVEL), ...(logStream !== undefined && { stream: logStream }) }
  const app = Fastify({
    ...REQUEST_LIMITS,
    logger,
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, request, reply) => {
      logEnd(request, reply)
      sendProblem(request, reply, toProblem(error))
    },
    genReqId: requestId,
    requestIdHeader: false,
    rewriteUrl: withoutOriginalPath,
    trustProxy: within(config.TRUSTED_PROXIES),
    exposeHeadRoutes: true,
    // Requests on a connection that is open are served to the end; new connections are refused.
    return503OnClosing: false,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: false, ...SAYS_WHAT_IS_MEANT } },
    schemaController: { compilersFactory: compilersAtFirstUse },
    serverFactory: handle => createListener(handle, { onRefused: (socket, status) => { onRefused(socket, status) } }),
    // The listener does.
    clientErrorHandler: () => {}
  }) as unknown as FastifyInstance

  const refusals = new Refusals({ log: app.log, metrics, isProduction: config.NODE_ENV === 'production' })
  registerErrors(app, refusals)
  registerDrain(app)
  registerResources(app)
  tracing?.register(app)
  const { logEnd, logRefused: onRefused } = registerLogging(app)
  countRequests(app, metrics)
  registerBudget(app)
  const isInside = config.ADMIN_PORT === undefined ? () => true : registerAdminListener(app, ADMIN_PATHS, onRefused)
  const refuseOtherMethods = registerMethods(app, config.CORS_ORIGINS)
  registerHead(app)
  await registerLimits(app, config.RATE_LIMIT_PER_MINUTE)
  refuseCodesByWrongClock(app, skew)
  registerJson(app)
  await registerOpenapi(app, VERSION, webhooksOfSpecification(kinds))
  registerMetrics(app, metrics)
  watchDatabase(app, db, metrics, tracing)
  tellUnusable(app, db, config, metrics)
  metrics.clockSkew(() => skew.seconds)

  const auth = await registerAuth(app, { ...authOptions(config, secrets), clock })
  const guard = createGuard({
    db,
    auth,
    metrics,
    clock,
    peppers: () => secrets.peppers,
    assurance: assuranceSettings(config, kinds)
  })
  const revocations = new RevocationPoll(db, {
    staleSeconds: config.AUTHORIZE_STALE_SECONDS,
    areAllAsking: (config.POLICY_FLOOR?.phishingResistant ?? 'off') !== 'off',
    onError: error => { app.log.warn({ err: error }, 'revocations cannot be read: gateways get 503') }
  })
  app.addHook('onReady', async () => { await revocations.start() })
  app.addHook('onClose', async () => { await revocations.stop() })
  const services: Services = {
    config,
    secrets,
    db,
    kinds,
    auth,
    clock,
    guard,
    hasher: timed(new Hasher(bcryptThreads, config.BCRYPT_COST), metrics),
    metrics,
    revocations,
    memory,
    refusals,
    warnOfLoginTime: loginTimeWarning(app.log)
  }

  decorateRequests(app)
  refuseEnded(app, clock)
  for (const schema of sharedSchemas(kinds.all)) app.addSchema(schema)
  registerStatus(app, services)
  for (const kind of kinds.all) {
    for (const schema of kind.schemas) app.addSchema(schema)
    registerEnroll(app, services, kind)
    registerVerify(app, services, kind)
  }
  registerRecovery(app, services)
  registerSession(app, services)
  registerFactors(app, services)
  registerDevices(app, services)
  const authorizations = new AuthorizationCache()
  forgetAtChanges(app, authorizations)
  registerAuthorize(app, services, authorizations)
  registerPolicy(app, services)
  registerPreview(app, services)
  registerUserList(app, services)
  registerUserSync(app, services)
  registerUsers(app, services)
  registerUserActions(app, services)
  registerStats(app, services)
  registerAudit(app, services)
  registerWebhooks(app, services)
  registerJwks(app, () => secrets.signing)
  registerHealth(app, async () => await checkReady(db), () => secrets.sealing, skew)
  await registerConsole(app, config.DOCS, ({ path, request }) => isInside(request) || !ADMIN_PATHS.test(path))
  refuseOtherMethods()
  return app
}

/** Before the answer of a change is sent, so that a user who has logged out does not pass a gateway with their next request. */
function forgetAtChanges (app: FastifyInstance, authorizations: AuthorizationCache): void {
  app.addHook('onSend', ({ method, caller, routeOptions }, _reply, payload, done) => {
    if (method !== 'GET' && caller !== null && routeOptions.config.isQuestion !== true) authorizations.forget(caller)
    done(null, payload)
  })
}

const authOptions = (config: Config, secrets: Secrets): Omit<Parameters<typeof registerAuth>[1], 'clock'> => ({
  issuers: config.ISSUERS,
  trustedProxies: config.TRUSTED_PROXIES,
  issuerSecret: index => secrets.issuerKey(index) as string,
  fetch: throughProxy(config),
  own: { issuer: config.MFA_ISSUER, audience: config.MFA_AUDIENCE, keys: () => secrets.signing }
})
