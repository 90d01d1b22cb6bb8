/** Who acts was signed out, reset, disabled or erased after their token was read, and before the act: nothing was done. */
export class ActorGoneError extends Error {
  override name = 'ActorGoneError'
}
