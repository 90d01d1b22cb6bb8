export const MAX_FACTORS = 5

/** Without a label they are numbered: the lowest number that is free. */
export function nextLabel (factors: Array<{ label: string }>): string {
  const taken = new Set(factors.map(factor => factor.label))
  let number = 1
  while (taken.has(`Authenticator ${number}`)) number++
  return `Authenticator ${number}`
}
