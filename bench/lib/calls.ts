// What the two calls of a login take of the database where eight users go together, without a service: as the service sends them.
import { connect } from '../../src/platform/db/client.ts'
import { findUser } from '../../src/users/user.sql.ts'
import { settleAccepted } from '../../src/factors/attempts.sql.ts'
import type { Caller } from '../../src/http/auth/caller.ts'
import { TOTP_KIND } from '../../src/factors/totp/totp.ts'
import { meter } from './cpu.ts'
import type { Database } from './database.ts'
import { BY, currentStep, factorId, refill, subjectOf, TENANT, userId } from './enrolled.ts'
import { ISSUER, PEPPERS } from './keys.ts'

const TOGETHER = 8

/** Milliseconds of CPU of a call. */
export interface CallCosts { read: number, accept: number }

export async function costOfCalls (database: Database, postmasters: number[], numbers: number[]): Promise<CallCosts> {
  const db = connect(database.url, 2)
  const groups = Array.from(
    { length: Math.ceil(numbers.length / TOGETHER) },
    (_, index) => numbers.slice(index * TOGETHER, (index + 1) * TOGETHER)
  )
  const cost = async (call: (n: number) => Promise<unknown>): Promise<number> => {
    const stop = meter([], postmasters)
    for (const group of groups) await Promise.all(group.map(call))
    return stop().postgres / groups.length
  }
  const accept = async (n: number): Promise<void> => {
    const { outcome } = await settleAccepted(db, {
      tenant: TENANT,
      userId: userId(n),
      kind: TOTP_KIND,
      epoch: 1,
      factorId: factorId(n),
      counter: currentStep(),
      authentication: null,
      by: BY
    })
    if (outcome !== 'accepted') throw new Error(outcome)
  }
  try {
    await refill(database)
    return {
      read: await cost(n => findUser(db, { tenant: TENANT, namespace: ISSUER, subject: subjectOf(n) } as Caller, PEPPERS)),
      accept: await cost(accept)
    }
  } finally {
    await db.close()
  }
}
