import type { TokenRules } from '../config/config.ts'
import type { Caller, FirstFactor } from '../http/auth/caller.ts'
import type { KeyRing } from '../keys/keys.ts'
import { connect, type Database } from '../platform/db/client.ts'
import { decide, type DecisionSettings, type DecisionInput } from '../policy/decide.ts'
import { findPolicy } from '../policy/policy.sql.ts'
import { type Decision, DEFAULT_POLICY, type Policy } from '../policy/policy.ts'
import { decisionSettings } from '../services.ts'
import { recordedClaims } from '../users/issuer-claims.ts'
import { findUser } from '../users/user.sql.ts'
import type { User, SourceClaims } from '../users/user.ts'

/** What would follow, in lines. */
export interface Following {
  lines: string[]
  /** It was good before: a sign-out, a log-out, a reset or an erasure has ended it. */
  isRevoked: boolean
}

/** By what the database knows now. Nothing is written: this is not the user's first sight. @throws UnavailableError */
export async function decisionBy (url: string, caller: Caller, peppers: KeyRing, rules: TokenRules, now: Date): Promise<Following> {
  const db = connect(url, 1)
  try {
    const user = await findUser(db, caller, peppers)
    return caller.mfa === undefined ? await ofFirst(db, user, caller as FirstFactor, rules, now) : ofOwn(user, caller, caller.mfa)
  } finally {
    await db.close()
  }
}

function ofOwn (user: User | null, caller: Caller, { epoch, generation }: NonNullable<Caller['mfa']>): Following {
  const isRevoked = user === null || user.epoch !== epoch || user.session.generation > generation
  if (isRevoked) return { isRevoked, lines: ['it was ended by a sign-out, a log-out, a reset or an erasure'] }
  return { isRevoked, lines: [user.isDisabled ? 'deny (user_disabled)' : 'allow (mfa_verified)'] }
}

async function ofFirst (db: Database, user: User | null, caller: FirstFactor, rules: TokenRules, now: Date): Promise<Following> {
  const { issuerClaims } = caller
  if (user !== null && user.tokensSince !== null && issuerClaims.issuedAt * 1000 <= user.tokensSince.getTime()) {
    return { isRevoked: true, lines: ['it is of before its user was erased'] }
  }
  const known = user?.sources[issuerClaims.issuer]
  const sources = { ...user?.sources, [issuerClaims.issuer]: joined(known, caller) }
  const input: DecisionInput = user === null ? newcomer(sources, await findPolicy(db, caller.tenant), now) : { ...user, sources }
  const decision = decide(input, caller, now, decisionSettings(rules))
  return {
    isRevoked: false,
    lines: [
      written(decision),
      user === null
        ? 'The database does not know this user yet.'
        : `The user is ${user.userId}${user.factors.length > 0 ? ', and has an authenticator' : ', and has no authenticator'}.`
    ]
  }
}

/** Without the `accounts` claim the login type is added to what was claimed before. */
function joined (known: SourceClaims | undefined, caller: FirstFactor): SourceClaims {
  const claims = recordedClaims(caller, known)
  if (caller.issuerClaims.accounts !== undefined) return { ...known, ...claims }
  return { ...known, ...claims, local: known?.local === true || claims.local, sso: known?.sso === true || claims.sso }
}

/** A user that the database does not know yet. */
const newcomer = (sources: DecisionInput['sources'], policy: Policy, now: Date): DecisionInput => ({
  isDisabled: false,
  sources,
  policyMetAt: null,
  graceUntil: null,
  exemption: null,
  readAt: now,
  policy,
  factors: [],
  session: { authentication: null }
})

/** As far as it can be said without the database: what it would add are a factor, the policy, and who is disabled or exempt. */
export function decisionWithout (caller: FirstFactor, rules: TokenRules, now: Date): string[] {
  const settings: DecisionSettings = decisionSettings(rules)
  const sources = { [caller.issuerClaims.issuer]: recordedClaims(caller, undefined) }
  const given = (policy: Partial<Policy>, factors: unknown[] = []): string =>
    written(decide({ ...newcomer(sources, { ...DEFAULT_POLICY, ...policy }, now), factors }, caller, now, settings))
  return [
    `${given({}, [{}])} if the user has an authenticator`,
    `${given({ enforcement: 'required' })} if not, and the policy requires MFA for everyone`,
    `${given({})} if not, and the policy does not`
  ]
}

function written ({ action, reason, deadline, wouldBe, loginFirst, loginTimeUnknown }: Decision): string {
  const details = [
    reason,
    ...(deadline === undefined ? [] : [`until ${deadline}`]),
    ...(wouldBe === undefined ? [] : [`once required: ${wouldBe.action}`]),
    ...(loginFirst === true ? ['after a new login'] : []),
    ...(loginTimeUnknown === true ? ['which cannot be: login_time_unknown'] : [])
  ]
  return `${action} (${details.join(', ')})`
}
