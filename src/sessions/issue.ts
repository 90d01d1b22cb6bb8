import type { FastifyRequest } from 'fastify'
import { type Acr, type Caller, toldAcr } from '../http/auth/caller.ts'
import { DETAILS, Problem } from '../http/problem.ts'
import { decide } from '../policy/decide.ts'
import { decisionSettings, type Services } from '../services.ts'
import type { User } from '../users/user.ts'
import { type Authentication, authenticationToRemember, mfaTokenClaims, type TokenSubject } from './mfa-token.ts'

export interface TokenAnswer { token: string, tokenType: 'Bearer', expiresIn: number, acr: string, amr: string[] }

/** What a token is for: us, or the application that `audience` names, and what it asks to be told. */
export interface TokenWish { audience?: string | undefined, acr?: Acr | undefined }

/** An MFA token for the caller after `authentication`, as every call answers it. */
export function issueToken (
  { auth, config, clock, kinds, metrics }: Services,
  caller: Caller,
  subject: TokenSubject,
  authentication: Authentication,
  { audience, acr }: TokenWish = {}
): TokenAnswer {
  const told = audience === undefined ? authentication : { ...authentication, acr: toldAcr(authentication.acr, acr) }
  const claims = mfaTokenClaims(caller, subject, told, clock(), {
    issuer: config.MFA_ISSUER,
    audience: audience ?? config.MFA_AUDIENCE,
    tokenSeconds: config.MFA_TOKEN_SECONDS,
    secondMethods: kinds.methodsOf(config)
  })
  const token = metrics.time('sign_token', () => auth.sign(claims))
  return { token, tokenType: 'Bearer', expiresIn: claims.exp - claims.iat, acr: claims.acr, amr: claims.amr }
}

/** The authentication as its settlement is to remember it, or null; `epoch` is the user's once it is settled. */
export const remembered = (
  { config, secrets }: Services,
  { tenant, userId, epoch }: Pick<User, 'tenant' | 'userId' | 'epoch'>,
  caller: Caller,
  authentication: Authentication
): object | null =>
  authenticationToRemember({ tenant, userId, epoch }, caller, authentication, config.MFA_SESSION_MAX_AGE_SECONDS, secrets.peppers)

/** The token of a settlement that has remembered `authentication`. */
export const issueSettled = (
  services: Services,
  caller: Caller,
  { userId, epoch }: { userId: string, epoch: number },
  authentication: Authentication,
  { generation }: { generation: number | null },
  wish?: TokenWish
): TokenAnswer => issueToken(services, caller, { userId, epoch, generation: generation ?? 0 }, authentication, wish)

/** Which audience a token is for: us, or one of the configured applications. */
export function checkKnown ({ config }: Services, audience: string | undefined): void {
  if (audience !== undefined && !config.MFA_APPLICATION_AUDIENCES.includes(audience)) {
    throw new Problem('invalid_request', {
      errors: [{ field: 'audience', message: 'is none of the configured applications (MFA_APPLICATION_AUDIENCES)' }]
    })
  }
}

/** The same for what is about to be proved: an application gets no token by what does not count of the user. */
export function checkAudience (
  services: Services,
  { caller, storedUser: user }: Pick<FastifyRequest, 'caller' | 'storedUser'>,
  acr: Acr,
  audience: string | undefined
): void {
  checkKnown(services, audience)
  const { config, clock, kinds } = services
  if (audience === undefined || acr === 'phr') return
  if (decide(user, caller, clock(), decisionSettings(config, kinds)).reason !== 'phishing_resistant_required') return
  throw new Problem('step_up_required', {
    action: 'verify',
    maxAge: config.MFA_SESSION_MAX_AGE_SECONDS,
    acr: 'phr',
    detail: DETAILS.phrAudience
  })
}
