// Codes of several users in one call of the database: each is decided as if it were alone, beside those that are.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Settled } from '../../src/platform/db/settlements.ts'
import { valuesOf } from '../../src/platform/db/batcher.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { db } = service
const by = (n: number): object => ({ actor: `actor ${n}`, address: `192.0.2.${n}`, requestId: `request ${n}` })
const LIMITS = { waits: [0, 600], maxWait: 36_000, lock: 10, day: 3, month: 5 }
const OPEN = { waits: [0], maxWait: 0, lock: 1_000_000, day: 1_000_000, month: 1_000_000 }
const uuid = (head: string, n: number): string => `${head}0000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const userOf = (n: number): string => uuid('a', n)
const factorOf = (n: number): string => uuid('f', n)

/** A tenant of so many users, each with one factor that was last used at step 100: in every tenant they have the same ids. */
async function tenantOf (size: number): Promise<string> {
  const tenant = randomUUID()
  for (let n = 1; n <= size; n++) {
    await db.rows`INSERT INTO users (tenant, id, namespace, subject, account, sources, epoch) VALUES (${tenant}, ${
      userOf(n)
    }::uuid, 'test', ${String(n)}, 'x', '{}', 5)`
    await addFactor(tenant, n, n)
    for (const kind of ['totp', 'enroll']) {
      await db.rows`INSERT INTO throttles (tenant, user_id, kind)
      VALUES (${tenant}, ${userOf(n)}::uuid, ${kind})`
    }
  }
  return tenant
}

async function addFactor (tenant: string, n: number, number: number): Promise<void> {
  await db
    .rows`INSERT INTO factors (tenant, user_id, id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at,
      confirmed_at)
    VALUES (${tenant}, ${userOf(n)}::uuid, ${factorOf(number)}::uuid, 'totp', ${
    String(number)
  }, 'x', 'k1', 'SHA1', 6, 30, 100, now(), now())`
}

/** All that a settlement may change; moments as how far away they are, whose they are and what is said of them. */
const stateOf = async (tenant: string): Promise<unknown[]> => [
  await db.rows`SELECT id, user_id, counter, last_used_at IS NOT NULL AS used FROM factors WHERE tenant = ${tenant} ORDER BY id`,
  await db
    .rows`SELECT user_id, kind, failures, tries, round(extract(epoch
      FROM wait_until - now()) / 60) AS wait, locked_at IS NOT NULL AS locked,
    ARRAY(SELECT round(extract(epoch FROM now() - r) / 60) FROM unnest(recent) AS r) AS recent FROM throttles WHERE tenant = ${tenant}
      ORDER BY user_id, kind`,
  await db
    .rows`SELECT user_id, issuer, session, acr, methods, factor_id, auth_time, epoch FROM mfa_sessions WHERE tenant = ${tenant}
      ORDER BY user_id, session`,
  await db.rows`SELECT factor_id, attempts FROM enrollments WHERE tenant = ${tenant} ORDER BY factor_id`,
  await db
    .rows`SELECT actor, subject, action, outcome, factor_kind, address, request_id, details FROM audit_events WHERE tenant = ${tenant}
      ORDER BY actor, action`,
  // Each event waits to be chained, once.
  await db.rows`SELECT count(*)::int AS events FROM audit_events WHERE tenant = ${tenant}`,
  await db.rows`SELECT count(*)::int AS events FROM audit_pending p JOIN audit_events e USING (tenant, at, id) WHERE p.tenant = ${tenant}`
]

type Settlement = Settled<'accept_factor' | 'refuse_factor'>
const valueOf = async <T>(...statement: Parameters<typeof db.rows>): Promise<T | null> =>
  (await db.rows<{ result: T | null }>(...statement) as [{ result: T | null }])[0].result

interface Accept { user: number, factor?: number, epoch?: number, step?: number, authentication?: object | null }
const accepting = ({ user, factor = user, epoch = 5, step = 200, authentication = null }: Accept, place: number) => ({
  userId: userOf(user),
  epoch,
  factorId: factorOf(factor),
  step,
  authentication,
  by: by(place)
})
type Accepting = ReturnType<typeof accepting>

const acceptOne = (tenant: string, { userId, epoch, factorId, step, authentication, by }: Accepting): Promise<Settlement | null> =>
  valueOf<
    Settlement
  >`SELECT accept_factor(${tenant}, ${userId}::uuid, 'totp', ${epoch}::int, ${factorId}::uuid, ${step}::bigint,
    ${authentication}::jsonb, ${by}::jsonb) AS result`
const acceptAll = (tenant: string, codes: Accepting[]): Promise<Settlement[] | null> =>
  valueOf<Settlement[]>`SELECT accept_factors(${tenant}, 'totp', ${valuesOf(codes, 'userId')}::uuid[], ${
    valuesOf(codes, 'epoch')
  }::int[], ${valuesOf(codes, 'factorId')}::uuid[], ${valuesOf(codes, 'step')}::bigint[], ${valuesOf(codes, 'authentication')}::jsonb[], ${
    valuesOf(codes, 'by')
  }::jsonb[]) AS result`

interface Refuse { user: number, weight?: number, pending?: number | null, near?: object | null }
const refusing = ({ user, weight = 1, pending = null, near = null }: Refuse, place: number) => ({
  userId: userOf(user),
  weight,
  pendingId: pending === null ? null : factorOf(pending),
  near,
  by: by(place)
})
type Refusing = ReturnType<typeof refusing>

const refuseOne = (tenant: string, limits: object, { userId, weight, pendingId, near, by }: Refusing): Promise<Settlement | null> =>
  valueOf<
    Settlement
  >`SELECT refuse_factor(${tenant}, ${userId}::uuid, 'totp', ${weight}::int, ${limits}::jsonb, ${pendingId}::uuid, ${near}::jsonb,
    ${by}::jsonb) AS result`
const refuseAll = (tenant: string, limits: object, codes: Refusing[]): Promise<Settlement[] | null> =>
  valueOf<Settlement[]>`SELECT refuse_factors(${tenant}, 'totp', ${limits}::jsonb, ${valuesOf(codes, 'userId')}::uuid[], ${
    valuesOf(codes, 'weight')
  }::int[], ${valuesOf(codes, 'pendingId')}::uuid[], ${valuesOf(codes, 'near')}::jsonb[], ${valuesOf(codes, 'by')}::jsonb[]) AS result`

/** How long is one second less if the other tenant is asked a moment later. */
const outcomes = (results: Array<Settlement | null> | null): unknown[] =>
  (results ?? []).map(result => result?.outcome === 'waiting' ? { ...result, seconds: typeof result.seconds } : result)

async function oneByOne<Code> (codes: Code[], settle: (code: Code) => Promise<Settlement | null>): Promise<Array<Settlement | null>> {
  const results = []
  for (const code of codes) results.push(await settle(code))
  return results
}

t.test('codes that are accepted together change what they change one by one, and are answered the same', async t => {
  const authentication = {
    issuer: 'https://issuer',
    session: 's',
    acr: 'mfa',
    methods: ['otp', 'mfa'],
    factorId: factorOf(2),
    authTime: 1_700_000_000,
    maxAge: 3600
  }
  const codes = ([
    { user: 1 }, { user: 2, authentication },
    { user: 3, epoch: 4 }, { user: 3 }, // of an epoch that is over, and then of the present one
    { user: 4, step: 100 }, { user: 4, step: 100 }, // spent
    { user: 5 },
    { user: 5 },
    { user: 5, factor: 105 },
    { user: 5, step: 201, authentication: { ...authentication, factorId: factorOf(5) } }, // again, another factor, a later step
    { user: 6, factor: 7, step: 300 }, { user: 7, factor: 7 }, // a factor that is not theirs
    { user: 8 }, { user: 9 }, { user: 10 }, { user: 11 }, { user: 12 }, { user: 13 }, { user: 14 }, { user: 15, step: 100 }, { user: 99 }
  ] satisfies Accept[]).map(accepting)
  const tenants = []
  for (let time = 0; time < 2; time++) {
    const tenant = await tenantOf(15)
    tenants.push(tenant)
    await addFactor(tenant, 5, 105)
    for (const n of [8, 15]) {
      await db.rows`UPDATE throttles SET failures = 2, tries = 3, recent = ARRAY[now()] WHERE tenant = ${tenant} AND user_id = ${
        userOf(n)
      }::uuid`
    }
    await db
      .rows`UPDATE throttles SET failures = 2, tries = 3, wait_until = now() - interval '1 minute' WHERE tenant = ${tenant} AND user_id = ${
      userOf(9)
    }::uuid`
    await db.rows`UPDATE throttles SET wait_until = now() + interval '1 hour' WHERE tenant = ${tenant} AND user_id = ${userOf(10)}::uuid`
    await db.rows`UPDATE throttles SET locked_at = now() WHERE tenant = ${tenant} AND user_id = ${userOf(11)}::uuid`
    // Nothing was ever counted of this user.
    await db.rows`DELETE FROM throttles WHERE tenant = ${tenant} AND user_id = ${userOf(12)}::uuid`
    await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${tenant} AND id = ${userOf(13)}::uuid`
    // Failures of another kind do not count for logins.
    await db.rows`UPDATE throttles SET failures = 2, locked_at = now() WHERE tenant = ${tenant} AND user_id = ${
      userOf(14)
    }::uuid AND kind = 'enroll'`
  }
  const [alone, together] = tenants as [string, string]
  const expected = await oneByOne(codes, code => acceptOne(alone, code))
  t.same(outcomes(await acceptAll(together, codes)), outcomes(expected))
  t.same(await stateOf(together), await stateOf(alone))
  t.same(expected.map(result => result?.outcome), [
    'accepted', 'accepted', 'spent', 'accepted', 'spent', 'spent', 'accepted', 'spent', 'accepted', 'accepted', 'spent', 'accepted',
    'accepted', 'accepted', 'waiting', 'locked', 'accepted', 'spent', 'accepted', 'spent', 'lost'
  ])
})

t.test('codes that are refused together count as they do one by one, and are answered the same', async t => {
  const codes = ([
    { user: 1, near: { factorId: factorOf(1), stepsAway: -4 } },
    { user: 2, weight: 2 },
    { user: 3 },
    { user: 3, near: { factorId: factorOf(3), stepsAway: 9 } },
    { user: 3 }, // the third has to wait
    { user: 4, pending: 400, near: { factorId: factorOf(400), stepsAway: 2 } },
    { user: 5 },
    { user: 6 },
    { user: 7 },
    { user: 8 },
    { user: 9, weight: 3 },
    { user: 10 },
    { user: 11 },
    { user: 12 },
    { user: 13 }, { user: 99 }
  ] satisfies Refuse[]).map(refusing)
  const tenants = []
  for (let time = 0; time < 2; time++) {
    const tenant = await tenantOf(13)
    tenants.push(tenant)
    await db
      .rows`INSERT INTO enrollments (tenant, user_id, kind, factor_id, label, sealed, key_id, algorithm, digits, period, expires_at)
        VALUES (${tenant}, ${
      userOf(4)
    }::uuid, 'totp', ${factorOf(400)}::uuid, 'x', 'x', 'k1', 'SHA1', 6, 30, now() + interval '1 hour')`
    const failed = (n: number, failures: number, tries: number, ages: string[]): Promise<unknown> =>
      db.rows`UPDATE throttles SET failures = ${failures}, tries = ${tries},
      recent = ARRAY(SELECT now() - age FROM unnest(${ages}::text[]::interval[]) AS age) WHERE tenant = ${tenant} AND user_id = ${
        userOf(n)
      }::uuid AND kind = 'totp'`
    await failed(5, 1, 1, ['2 hours'])
    await failed(6, 5, 5, ['30 hours', '28 hours']) // waits double
    await failed(7, 0, 0, ['20 hours', '1 hour']) // the day's budget
    await failed(8, 0, 0, ['20 days', '15 days', '10 days', '5 days']) // the month's
    await failed(9, 1, 7, ['1 hour']) // to be locked
    await failed(10, 0, 0, ['40 days', '20 days']) // one that has aged
    await db.rows`UPDATE throttles SET wait_until = now() + interval '1 hour' WHERE tenant = ${tenant} AND user_id = ${userOf(11)}::uuid`
    await db.rows`UPDATE throttles SET locked_at = now() WHERE tenant = ${tenant} AND user_id = ${userOf(12)}::uuid`
    await db
      .rows`UPDATE throttles SET failures = 2, tries = 2, wait_until = now() - interval '1 minute' WHERE tenant = ${tenant} AND user_id = ${
      userOf(13)
    }::uuid`
  }
  const [alone, together] = tenants as [string, string]
  const expected = await oneByOne(codes, code => refuseOne(alone, LIMITS, code))
  t.same(outcomes(await refuseAll(together, LIMITS, codes)), outcomes(expected))
  t.same(await stateOf(together), await stateOf(alone))
  t.same(await db.rows`SELECT details FROM audit_events WHERE tenant = ${together} AND details <> '{}' ORDER BY subject`,
    [-4, 9, 2].map((stepsAway, index) => ({ details: { factorId: factorOf([1, 3, 400][index] as number), stepsAway } })))
  t.same(expected.map(result => result?.outcome), [
    'refused', 'refused', 'refused', 'refused', 'waiting', 'refused', 'refused', 'refused', 'refused', 'refused', 'refused', 'refused',
    'waiting', 'locked', 'refused', 'lost'
  ])
  const waits = await db.rows<{ minutes: number }>`SELECT round(extract(epoch FROM wait_until - now()) / 60)::int AS minutes FROM throttles
    WHERE tenant = ${together} AND kind = 'totp' AND user_id = ANY (${[1, 5, 6, 7, 8, 13].map(userOf)}::uuid[]) ORDER BY user_id`
  t.same(waits.map(({ minutes }) => minutes), [null, 10, 160, 4 * 60, 10 * 24 * 60, 20])
})

t.test('of joint calls and single ones for the same codes at once, in any order, each code opens for one; and none waits for ' +
  'another in a ring', async t => {
  const tenant = await tenantOf(8)
  const order = [1, 2, 3, 4, 5, 6, 7, 8]
  for (let step = 101; step <= 110; step++) {
    const codes = (users: number[]): Accepting[] => users.map((user, place) => accepting({ user, step }, place))
    const calls = [order, order, order.toReversed(), order, [3, 8, 1, 3, 8, 1]]
    const results = await Promise.all(
      calls.map(async (users, call) =>
        call % 2 === 0
          ? await acceptAll(tenant, codes(users)) ?? []
          : await oneByOne(codes(users), code => acceptOne(tenant, code)) as Settlement[]
      )
    )
    const opened = results.flatMap((settled, call) =>
      settled.flatMap(({ outcome }, place) => outcome === 'accepted' ? [calls[call]?.[place]] : [])
    )
    t.same(opened.sort(), order, `step ${step}`)
    t.ok(results.flat().every(({ outcome }) => outcome === 'accepted' || outcome === 'spent'))
  }
  t.same(await db.rows`SELECT DISTINCT counter::int FROM factors WHERE tenant = ${tenant}`, [{ counter: 110 }])
  t.same(
    await db
      .rows`SELECT subject, count(*)::int FROM audit_events WHERE tenant = ${tenant} AND action = 'totp.accepted' GROUP BY subject
        ORDER BY subject`,
    order.map(n => ({ subject: userOf(n), count: 10 }))
  )
})

t.test('of joint calls and single ones that refuse the same users\' codes at once each is counted', async t => {
  const tenant = await tenantOf(6)
  const order = [1, 2, 3, 4, 5, 6]
  const calls = [order, order, order.toReversed(), order, [...order, ...order]]
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(calls.map(async (users, call) => {
      const codes = users.map((user, place) => refusing({ user }, place))
      return call % 2 === 0
        ? await refuseAll(tenant, OPEN, codes) ?? []
        : await oneByOne(codes, code => refuseOne(tenant, OPEN, code)) as Settlement[]
    }))
    t.equal(results.flat().length, 36)
    t.ok(results.flat().every(({ outcome }) => outcome === 'refused'), JSON.stringify(results))
  }
  t.same(
    await db
      .rows`SELECT user_id::text AS id, failures, tries, cardinality(recent) AS recent, wait_until FROM throttles
        WHERE tenant = ${tenant} AND kind = 'totp' ORDER BY user_id`,
    order.map(n => ({ id: userOf(n), failures: 30, tries: 30, recent: 30, wait_until: null })))
  t.same(
    await db.rows`SELECT subject, count(*)::int FROM audit_events WHERE tenant = ${tenant} GROUP BY subject ORDER BY subject`,
    order.map(n => ({ subject: userOf(n), count: 30 }))
  )
})
