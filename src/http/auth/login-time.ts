import type { FastifyBaseLogger } from 'fastify'
import { firstTime } from '../../platform/first-time.ts'
import type { Caller, FirstFactor } from './caller.ts'

/** A mistake of the configuration, which is told once for each issuer, and not at each call that meets it. */
export function loginTimeWarning (log: Pick<FastifyBaseLogger, 'warn'>): (caller: Caller) => void {
  const isNew = firstTime()
  return caller => {
    // Our own tokens say when: this is an issuer's.
    const { issuerClaims: { issuer } } = caller as FirstFactor
    if (isNew(issuer)) {
      log.warn(
        { issuer },
        "tokens of this issuer do not say when the login was, so their users can't set up a first factor: have it send auth_time, or " +
        'set iatIsLogin (docs/issuers.md)'
      )
    }
  }
}
