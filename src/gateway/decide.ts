import { type Acr, type Caller, isAtLeast, toldAcr } from '../http/auth/caller.ts'
import { isFresh, type LoginAge, loginAge } from '../platform/time.ts'
import { countsStill, decide, type DecisionSettings, isPhrRequired } from '../policy/decide.ts'
import type { Decision } from '../policy/policy.ts'
import type { User } from '../users/user.ts'

/** What a gateway asks beyond the policy; `maxAge` in seconds since the second factor. */
export interface Demands { acr?: 'mfa' | 'phr' | undefined, maxAge?: number | undefined }

/** What must be proved or set up, where not any second factor will do. */
type Wanted = 'mfa' | 'phr' | undefined

export type Answer =
  | { action: 'allow', acr: Acr | 'idp-mfa' | 'none', reason: Decision['reason'] }
  | { action: 'verify', acr: Wanted }
  | { action: 'deny' }
  | { action: 'enroll', acr: Wanted, login: LoginAge }

/** A second factor that was done, and when (unix seconds). */
interface Authentication { acr: Acr | 'idp-mfa', authTime: number | undefined, isIdpPhr?: boolean }

/** By an MFA token alone, which is known to count; null where it is not enough, and the user's snapshot must tell. */
export function decideByToken (caller: Pick<Caller, 'mfa' | 'authTime'>, demands: Demands, now: Date): Answer | null {
  const authentication = tokenAuthentication(caller)
  return authentication !== null && meets(authentication, demands, now) ? allowBy(authentication, demands) : null
}

/**
 * May this token pass? The policy's decision, and what the gateway asks beyond it, which binds every user who would pass without:
 * with a factor that is enough they are asked for a proof, without one they must enroll.
 */
export function decideAuthorize (user: User, caller: Caller, demands: Demands, now: Date, settings: DecisionSettings): Answer {
  const decision = decide(user, caller, now, settings)
  if (decision.action === 'deny') return { action: 'deny' }
  const isPhrWanted = isPhrRequired(user, now, settings, caller)
  const counting = [tokenAuthentication(caller), user.session.authentication, idpAuthentication(caller)].flatMap(each =>
    each !== null && countsStill(each, user, settings) && (!isPhrWanted || isPhr(each)) && meets(each, demands, now) ? [each] : []
  )
  // What was proved comes before a device that stands for it.
  const authentication = counting.find(({ acr }) => acr !== 'mfa-device') ?? counting[0]
  if (authentication !== undefined) return allowBy(authentication, demands)
  if (decision.action === 'allow' && !isMoreDemanded(demands)) return { action: 'allow', acr: 'none', reason: decision.reason }
  const acr = isPhrWanted ? 'phr' : demands.acr
  if (user.factors.length === 0) return { action: 'enroll', acr, login: loginAge(caller.authTime, now, settings.loginFreshSeconds) }
  if (acr !== 'phr' || settings.canProve('phr', user)) return { action: 'verify', acr }
  // A further factor takes no new login, but the one that is there.
  return { action: 'enroll', acr, login: 'fresh' }
}

const tokenAuthentication = ({ mfa, authTime }: Pick<Caller, 'mfa' | 'authTime'>): Authentication | null =>
  mfa === undefined ? null : { acr: mfa.acr, authTime }

/** The identity provider's, whose age is the login's. */
const idpAuthentication = ({ isIdpMfa, isIdpPhr, authTime }: Caller): Authentication | null =>
  isIdpMfa ? { acr: 'idp-mfa', authTime, isIdpPhr } : null

const isPhr = ({ acr, isIdpPhr }: Authentication): boolean => acr === 'phr' || isIdpPhr === true

const isMoreDemanded = ({ acr, maxAge }: Demands): boolean => acr !== undefined || maxAge !== undefined

/** A trusted device meets no demand, whatever it is: its `auth_time` is of another login. */
const meets = ({ acr, authTime }: Authentication, demands: Demands, now: Date): boolean =>
  (acr !== 'mfa-device' || !isMoreDemanded(demands)) &&
  (demands.acr === undefined || (acr !== 'idp-mfa' && isAtLeast(acr, demands.acr))) &&
  (demands.maxAge === undefined || isFresh(authTime, now, demands.maxAge))

const REASONS: Partial<Record<Authentication['acr'], Decision['reason']>> = { 'idp-mfa': 'idp_mfa', 'mfa-device': 'trusted_device' }

const allowBy = ({ acr }: Authentication, demands: Demands): Answer =>
  ({ action: 'allow', acr: acr === 'idp-mfa' ? acr : toldAcr(acr, demands.acr), reason: REASONS[acr] ?? 'mfa_verified' })
