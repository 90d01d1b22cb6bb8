/** Of the kinds that can be guessed, together: each is one more to guess. */
export const MAX_GUESSABLE = 5

/** What an authenticator app is called without a label, with a number. */
export const AUTHENTICATOR = 'Authenticator'

/** Without a label they are called by their noun and the lowest number that is free; `first` is the name of the first one. */
export function nextLabel (factors: ReadonlyArray<{ label: string }>, noun: string, first = `${noun} 1`): string {
  const taken = new Set(factors.map(factor => factor.label))
  let label = first
  for (let number = 2; taken.has(label); number++) label = `${noun} ${number}`
  return label
}
