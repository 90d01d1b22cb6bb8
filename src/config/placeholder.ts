import { ConfigError } from './readers.ts'

/** What guides, samples and people in a hurry write where a key should be. Long enough that no random key has it. */
const WORDS = new RegExp([
  'change.?(me|this)', 'replace.?(me|this|with)', 'example', 'sample', 'secret', 'passw[o0]rd', 'placeholder', 'your.{0,9}(key|jwt|token)',
  'test.?key', 'dummy', 'insecure', 'default', 'development', 'supabase', 'at.?least', 'characters'
].join('|'), 'i')
const SEQUENCES = /01234567|12345678|abcdefgh|qwertyui/i
const REPEATED = /^([^]{1,16})\1+[^]{0,15}$/

/** Why a key looks like a placeholder and no random one; undefined if it does not. */
export function placeholder (value: string | Uint8Array): string | undefined {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const text = Buffer.from(bytes).toString('latin1')
  const [word] = WORDS.exec(text) ?? []
  if (word !== undefined) return `contains the word "${word.toLowerCase()}" and looks like a placeholder`
  if (new Set(bytes).size < 8 || REPEATED.test(text)) return 'repeats a few characters and looks like a placeholder'
  return SEQUENCES.test(text) ? 'contains a row of letters or digits and looks like a placeholder' : undefined
}

/** Of keys that are made for us alone there is no reason for one. */
export function refusePlaceholder (name: string, value: Uint8Array, howToMake: string): void {
  const why = placeholder(value)
  if (why !== undefined) throw new ConfigError(name, `${why}. Make one: ${howToMake}`)
}
