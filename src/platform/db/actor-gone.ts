/** The actor was signed out, reset, disabled or erased after their token was read, and before the change: nothing was done. */
export class ActorGoneError extends Error {
  override name = 'ActorGoneError'
}
