export interface UnavailableOptions {
  code?: string | undefined
  cause?: unknown
  /** How it is known that a statement did nothing: it never left this process, or the server says that it took it back. */
  undone?: 'unsent' | 'taken back' | undefined
}

/** The database, a key or a queue cannot serve now: 503, nothing was accepted. Cause and code are for the log alone. */
export class UnavailableError extends Error {
  override name = 'UnavailableError'
  readonly code: string | undefined
  readonly undone: UnavailableOptions['undone']
  constructor (message: string, { code, cause, undone }: UnavailableOptions = {}) {
    super(message, { cause })
    this.code = code
    this.undone = undone
  }
}

/** A change was sent to the database, and its outcome is not known: 503 too, and it may have been done. */
export class OutcomeUnknownError extends UnavailableError {
  override name = 'OutcomeUnknownError'
  constructor (cause: UnavailableError) { super(cause.message, { code: cause.code, cause: cause.cause }) }
}

/** The caller has gone: nothing was done for them. */
export class CallerGoneError extends UnavailableError {
  override name = 'CallerGoneError'
  constructor () { super('its caller has gone') }
}

/** What is read for the answer after a change: where that fails, the change was made all the same. */
export async function afterChange<T> (work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof UnavailableError ? new OutcomeUnknownError(error) : error
  }
}
