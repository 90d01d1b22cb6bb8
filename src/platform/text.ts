/**
 * What a name may be made of: a subject, a tenant, a group, wherever it comes from. Controls and line breaks are left out, as
 * they forge lines; and NUL and halves of surrogate pairs, as PostgreSQL can't store them.
 */
const UNNAMABLE = '\\u0000-\\u001F\\u007F-\\u009F\\u2028\\u2029'

/** The pattern of a name in JSON. */
export const NAME = `^[^${UNNAMABLE}\\p{Cs}]+$`

/** The same for a query, where no surrogate can be; consoles read patterns without `u`, which has no `\p`. */
export const QUERY_NAME = `^[^${UNNAMABLE}]+$`

/** Text for users, on one line: nothing that turns its direction around either, and no space at the ends. */
export const PRINTABLE = '^(?! )[^\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}\\u061C\\u200E\\u200F\\u202A-\\u202E\\u2066-\\u2069\\uFEFF]+(?<! )$'

/** Any text that PostgreSQL can store. */
export const STORABLE = '^[^\\u0000\\p{Cs}]*$'

/** Only this form reaches the database: the format `uuid` lets `urn:uuid:` pass, which PostgreSQL does not. */
export const UUID = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'

/** How long names are, in characters as JSON schemas count them (code points). */
export const MAX_LENGTH = { subject: 255, account: 255, tenant: 128, group: 512, namespace: 512 } as const

/** How many groups of a user are known. */
export const MAX_GROUPS = 2000

const name = new RegExp(NAME, 'u')

/** Is it a name of at most so many characters? */
export const isName = (text: string, maxLength: number): boolean =>
  // No character is longer than two units: what is longer than that is not counted.
  text.length <= 2 * maxLength && name.test(text) && [...text].length <= maxLength

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws TypeError for what is not UTF-8: a replaced byte is another name */
export const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes)
