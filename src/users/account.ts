/** Letters that have a small one, in the scripts that `fold_account` knows. */
const LETTERS = /[A-Z\u00c0-\u058f\u1e00-\u1fff]/g
/** One letter each where Unicode has several, or its rule looks at what is beside it. */
const OWN: Record<string, string> = { İ: 'i', ı: 'i', ς: 'σ', ſ: 's' }

/**
 * An account as it is looked for, in small letters. The database does the same to what it stores (`fold_account`), so that no locale
 * of its own has a say: one of Turkey would not find INFO by info, and one without a language no Émilie by émilie.
 */
export const foldAccount = (account: string): string => account.replace(LETTERS, letter => OWN[letter] ?? letter.toLowerCase())
