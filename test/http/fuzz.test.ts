// No call, however odd, is answered by a failure of ours, by nothing, or by what the specification does not say.
// `FUZZ_CALLS=20000 npm test -- --timeout=1800 test/http/fuzz.test.ts` for more of them, FUZZ_SEED=… for others.
import t from 'tap'
import { settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { administrator } from '../helpers/administrator.ts'
import { ownDatabase } from '../helpers/database.ts'
import { Chance, type Draft, mutate, render, send } from '../helpers/fuzz.ts'
import { PASSKEYS } from '../helpers/passkeys.ts'
import { issuersEnvironment } from '../helpers/issuers.ts'
import { AUDIENCE, claimsOf, type Enrolled, ISSUER, type User, SECRET, type Service, signToken, startService } from '../helpers/service.ts'
import { type Answered, type Operation, Specification } from '../helpers/specification.ts'

const CALLS = Number(process.env.FUZZ_CALLS ?? 2000)
const SEED = Number(process.env.FUZZ_SEED ?? 1)
/** After so many calls the users are others: most of them have been erased by then. */
const CALLS_A_STAGE = 60
/** So many call at the same time, each users of a tenant of their own. */
const LANES = 4
/** Within which each call is answered, with what a busy machine takes on top. */
const PATIENCE = 15_000

const ISSUERS = [
  {
    issuer: ISSUER,
    audience: AUDIENCE,
    secret: SECRET,
    tenants: '*',
    grants: ['mfa:admin', 'mfa:support', 'mfa:auditor', 'mfa:sync'],
    sessionClaim: 'sid'
  },
  { issuer: ISSUER, audience: 'machines', secret: SECRET, tenants: '*', loginType: 'service', grants: ['mfa:auditor', 'mfa:sync'] }
]

/** Who calls, and about which users. */
interface Stage {
  adminToken: string
  alice: User
  enrolled: Enrolled
  aliceId: string
  bob: User
  bobId: string
  pending: { factorId: string, secret: string }
  webhookEventId: string
  machine: Record<string, unknown>
}

async function stage (service: Service): Promise<Stage> {
  const { admin, token, enrolled } = await administrator(service)
  const { user: alice, id: aliceId, ...factor } = await enrolled({ sid: 's1' })
  const bob = service.user({ tenant: admin.tenant, sid: 's2' })
  const { body: { userId } } = await bob.call('GET', '/mfa/status')
  const { body } = await bob.call('POST', '/mfa/enroll')
  const { body: { items: [undelivered] } } = await service.call('GET', '/admin/notices', { token })
  const now = service.clock.seconds
  return {
    adminToken: token,
    alice,
    enrolled: factor,
    aliceId,
    bob,
    bobId: userId,
    pending: body,
    webhookEventId: undelivered.id,
    machine: {
      iss: ISSUER,
      aud: 'machines',
      sub: 'crm',
      tenant: admin.tenant,
      roles: ['mfa:auditor', 'mfa:sync'],
      iat: now,
      exp: now + 900
    }
  }
}

/** A call as the specification shows it, by a caller who may, about users who are there. */
function draftOf (
  operation: Operation,
  spec: Specification,
  { adminToken, alice, enrolled, aliceId, bob, bobId, pending, webhookEventId, machine }: Stage,
  service: Service,
  chance: Chance
): Draft {
  const { method, path, parameters = [] } = operation
  const body = spec.example(operation)
  if (body !== undefined && 'code' in body) {
    const { clock } = service
    body.code = operation.operationId === 'recover'
      ? enrolled.recoveryCodes?.[chance.below(10)]
      : clock.code(operation.operationId === 'confirmEnrollment' ? pending.secret : enrolled.secret)
  }
  if (body !== undefined && 'factorId' in body) body.factorId = pending.factorId
  const byUser = operation.operationId === 'confirmEnrollment' || chance.is(0.3) ? bob : alice
  const isAdmin = path.startsWith('/admin/')
  const claims = isAdmin ? chance.is(0.1) ? machine : undefined : chance.is(0.5) || byUser === bob ? claimsOf(byUser.token()) : undefined
  const ids: Record<string, string> = { factorId: enrolled.factorId, userId: chance.pick([aliceId, bobId]), id: webhookEventId }
  const query = parameters.filter(parameter => parameter.in === 'query')
  return {
    method,
    path,
    ids: Object.fromEntries(parameters.filter(parameter => parameter.in === 'path').map(({ name }) => [name, ids[name] as string])),
    query: query.length > 0 && chance.is(0.3) ? `${chance.pick(query).name}=x` : '',
    headers: [],
    claims,
    token: claims !== undefined ? signToken(claims) : isAdmin ? adminToken : enrolled.token,
    body,
    bytes: undefined,
    isElsewhere: false
  }
}

t.test(`seed ${SEED}, ${CALLS} calls`, { timeout: 240_000 + CALLS * 100 }, async t => {
  const { url } = await ownDatabase(t)
  const service = await startService(t, {
    ...issuersEnvironment(t, ISSUERS),
    ...PASSKEYS,
    DATABASE_URL: url,
    ENROLL_REQUIRES_CODE: 'never',
    MFA_APPLICATION_AUDIENCES: 'billing',
    TRUSTED_PROXIES: '127.0.0.1/32',
    RETURN_HOSTS: 'app.example.com',
    LOGIN_PAGE_URL: 'https://app.example.com/login',
    LOG_LEVEL: 'error'
  })
  await settleWanted(service.db)
  const spec = await Specification.of(service)
  const port = Number(new URL(service.url).port)
  const flaws: string[] = []
  const reached = new Set<string>()
  let ready: Promise<unknown> = Promise.resolve()
  /** One after the other: each enrollment moves the clock. */
  const nextStage = async (): Promise<Stage> => {
    const next = ready.then(() => stage(service))
    ready = next
    return await next
  }

  async function run (lane: number): Promise<void> {
    const chance = new Chance(SEED + lane)
    let users: Stage | undefined
    for (let index = 0; index < CALLS / LANES && flaws.length < 20; index++) {
      if (index % CALLS_A_STAGE === 0 || users === undefined) users = await nextStage()
      // Each lane begins elsewhere, so that a short run is of all of them.
      const operation = spec.operations[(index + lane * 9) % spec.operations.length] as Operation
      const draft = draftOf(operation, spec, users, service, chance)
      mutate(draft, chance)
      const bytes = render(draft)
      let answer = await send(port, bytes, PATIENCE)
      // A machine that is too busy says so once, and what is wrong with a call is wrong again.
      for (let tries = 1; answer?.status === 503 && tries < 3; tries++) answer = await send(port, bytes, PATIENCE)
      if (answer !== undefined && answer.status < 300 && !draft.isElsewhere) reached.add(operation.operationId)
      const flaw = flawOf(spec, operation, draft, answer)
      if (flaw !== undefined) {
        flaws.push(
          `lane ${lane}, call ${index}, ${operation.operationId}: ${flaw}\n${
            JSON.stringify(bytes.toString('latin1').replaceAll(/(Bearer \S{20})\S+/g, '$1…').slice(0, 1500))
          }\n${answer?.body.slice(0, 500) ?? ''}`
        )
      }
    }
  }

  await Promise.all(Array.from({ length: LANES }, (_, lane) => run(lane)))
  t.same(flaws, [])
  // Of few calls it is chance.
  if (CALLS >= 20_000) {
    t.same(
      spec.operations.map(({ operationId }) => operationId).filter(operationId => !reached.has(operationId)),
      [],
      'each operation was done at least once'
    )
  }
  t.same(service.log.filter(line => line.includes('"internal"')), [])
  t.equal((await service.call('GET', '/health/ready')).status, 200, 'and the service is well')
})

function flawOf (spec: Specification, operation: Operation, draft: Draft, answer: Answered | undefined): string | undefined {
  if (answer === undefined) return 'no answer'
  if (answer.status >= 500) return `status ${answer.status}`
  // An id of another form may lead anywhere, and so does another method.
  return draft.isElsewhere ? spec.refusalFlaw(answer) : spec.flaw(operation, answer)
}
