import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { Sparing, type SparingLimits } from '../../platform/sparing.ts'
import type { Metrics } from '../plugins/metrics.ts'
import { explain, RefusedToken } from './refused-token.ts'

export interface RefusalsOptions {
  log: Pick<FastifyBaseLogger, 'info'>
  metrics: Pick<Metrics, 'refusedToken'>
  /** Then no caller is told why. */
  isProduction: boolean
  limits?: SparingLimits
}

/** Of one cause and issuer a line in ten seconds; a token may name any issuer. */
const LIMITS: SparingLimits = { ms: 10_000, maxKinds: 100 }

interface Line { reqId: string, refused: RefusedToken, text: string }

/** Tells the operator why tokens are refused; in production no one else. */
export class Refusals {
  readonly #metrics: RefusalsOptions['metrics']
  readonly #isProduction: boolean
  readonly #lines: Sparing<Line>

  constructor ({ log, metrics, isProduction, limits = LIMITS }: RefusalsOptions) {
    this.#metrics = metrics
    this.#isProduction = isProduction
    this.#lines = new Sparing(({ reqId, text, refused: { refusal: { cause, entry }, presented } }, count) => {
      log.info({ reqId, cause, entry, presented, count }, `token refused${count === 1 ? '' : `, the last of ${count}`}: ${text}`)
    }, limits)
  }

  /** Counts and logs it. Answers why, for the caller, if they may know. */
  tell ({ id }: FastifyRequest, refused: RefusedToken): string | undefined {
    const { refusal: { cause, claim, entry }, presented } = refused
    this.#metrics.refusedToken(cause)
    const text = explain(refused.refusal)
    this.#lines.add(JSON.stringify([cause, claim, entry ?? presented.iss]), { reqId: id, refused, text })
    return this.#isProduction ? undefined : text
  }

  end (): void { this.#lines.end() }
}
