/** The database, a key or a queue cannot serve now: 503, nothing was accepted. Cause and code are for the log alone. */
export class UnavailableError extends Error {
  override name = 'UnavailableError'
  readonly code: string | undefined
  constructor (message: string, { code, cause }: { code?: string | undefined, cause?: unknown } = {}) {
    super(message, { cause })
    this.code = code
  }
}
