import type { TokenRules } from '../config/config.ts'
import { FactorKinds } from '../factors/registry.ts'
import { type Caller, type FirstFactor, hasRole } from '../http/auth/caller.ts'
import type { KeyRing } from '../keys/keys.ts'
import { connect, type Database } from '../platform/db/client.ts'
import { decide, type DecisionInput, type ProvableFactor } from '../policy/decide.ts'
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
    return caller.mfa === undefined
      ? await ofFirst(db, user, caller as FirstFactor, rules, now)
      : ofOwn(user, caller, caller.mfa, rules, now)
  } finally {
    await db.close()
  }
}

function ofOwn (
  user: User | null,
  caller: Caller,
  { epoch, generation }: NonNullable<Caller['mfa']>,
  rules: TokenRules,
  now: Date
): Following {
  const isRevoked = user === null || user.epoch !== epoch || user.session.generation > generation
  if (isRevoked) return { isRevoked, lines: ['it was ended by a sign-out, a log-out, a reset or an erasure'] }
  return { isRevoked, lines: [written(decide(user, caller, now, decisionSettings(rules, new FactorKinds())))] }
}

async function ofFirst (db: Database, user: User | null, caller: FirstFactor, rules: TokenRules, now: Date): Promise<Following> {
  const { issuerClaims } = caller
  if (user !== null && user.tokensSince !== null && issuerClaims.issuedAt * 1000 <= user.tokensSince.getTime()) {
    return { isRevoked: true, lines: ['it is of before its user was erased'] }
  }
  const known = user?.sources[issuerClaims.issuer]
  const sources = { ...user?.sources, [issuerClaims.issuer]: joined(known, caller) }
  const input: DecisionInput = user === null
    ? newcomer(caller, sources, await findPolicy(db, caller.tenant), now)
    : { ...user, sources, isAdministrator: user.isAdministrator || hasRole(caller) }
  const decision = decide(input, caller, now, decisionSettings(rules, new FactorKinds()))
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
const newcomer = (caller: Caller, sources: DecisionInput['sources'], policy: Policy, now: Date): DecisionInput => ({
  tenant: caller.tenant,
  isDisabled: false,
  isAdministrator: hasRole(caller),
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
  const kinds = new FactorKinds()
  const settings = decisionSettings(rules, kinds)
  const sources = { [caller.issuerClaims.issuer]: recordedClaims(caller, undefined) }
  const given = (policy: Partial<Policy>, factors: ProvableFactor[] = []): string =>
    written(decide({ ...newcomer(caller, sources, { ...DEFAULT_POLICY, ...policy }, now), factors }, caller, now, settings))
  return [
    `${given({}, [{ kind: kinds.throttled[0] as string, credential: null }])} if the user has an authenticator`,
    `${given({ enforcement: 'required' })} if not, and the policy requires MFA for everyone`,
    `${given({})} if not, and the policy does not`
  ]
}

function written ({ action, reason, acr, deadline, wouldBe, loginFirst, loginTimeUnknown }: Decision): string {
  const details = [
    reason,
    ...(acr === undefined ? [] : ['by a passkey']),
    ...(deadline === undefined ? [] : [`until ${deadline}`]),
    ...(wouldBe === undefined ? [] : [`once required: ${wouldBe.action}`]),
    ...(loginFirst === true ? ['after a new login'] : []),
    ...(loginTimeUnknown === true ? ['which cannot be: login_time_unknown'] : [])
  ]
  return `${action} (${details.join(', ')})`
}
