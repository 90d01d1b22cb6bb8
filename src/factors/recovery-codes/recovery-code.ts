import { createHmac, randomBytes } from 'node:crypto'
import { readTyped } from '../typed-code.ts'

/** Crockford base32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LENGTH = 16
export const CODES = 10
/** What an administrator gives for one login: a code whose first character, `B`, is the slot of no recovery code. */
export const BYPASS_SLOT = ALPHABET.indexOf('B')

/**
 * One code of a set: the slot, 14 random characters (70 bits), a checksum. The slot names the row, so that one try costs
 * one bcrypt; the checksum catches a typo before it costs an attempt.
 */
export function generateCode (slot: number): string {
  // 256 is a multiple of 32: the low five bits of a random byte are unbiased.
  const random = [...randomBytes(LENGTH - 2)].map(byte => ALPHABET[byte & 31]).join('')
  const body = `${ALPHABET[slot] as string}${random}`
  return `${body}${checksum(body)}`
}

export const generateCodes = (): string[] => Array.from({ length: CODES }, (_, slot) => generateCode(slot))

/** `XXXX-XXXX-XXXX-XXXX`, as it is shown. */
export const formatCode = (canonical: string): string => (canonical.match(/.{4}/g) as string[]).join('-')

/** The 16 characters meant by what a user typed, null if it can't be a code: any case and width, dashes and spaces of any kind, O I L. */
export function canonicalize (input: string): string | null {
  const typed = readTyped(input.normalize('NFKC'))
  // Before the case is changed: an ß would become two letters.
  if (typed.length !== LENGTH || !/^[0-9A-Z]+$/i.test(typed)) return null
  const canonical = typed.toUpperCase().replace(/O/g, '0').replace(/[IL]/g, '1')
  return canonical.includes('U') ? null : canonical
}

export const hasValidChecksum = (canonical: string): boolean => checksum(canonical.slice(0, -1)) === canonical.at(-1)

export const slotOf = (canonical: string): number => ALPHABET.indexOf(canonical[0] as string)

/**
 * Over GF(32), weights 1, 2, 3 … as powers of x modulo x⁵+x²+1: catches every single wrong character and every swap of
 * neighbours, which a plain sum would not.
 */
function checksum (body: string): string {
  let sum = 0
  for (const character of body) sum = timesX(sum ^ ALPHABET.indexOf(character))
  return ALPHABET[sum] as string
}

const timesX = (value: number): number => ((value << 1) ^ (value & 16 ? 0b100101 : 0)) & 31

/** Whose code it is: its hash and its tag fit no other user, nor another place among theirs. */
export interface CodeOwner { tenant: string, userId: string }

/** JSON, so that no two codes give the same bytes; the first item tells it from what else a pepper is used for. */
const mac = (pepper: Buffer, use: 'code' | 'tag', { tenant, userId }: CodeOwner, canonical: string): Buffer =>
  createHmac('sha256', pepper).update(JSON.stringify([use, tenant, userId, slotOf(canonical), canonical])).digest()

/** What bcrypt gets: 44 characters whatever the code, and useless without the pepper. */
export const digest = (pepper: Buffer, owner: CodeOwner, canonical: string): string =>
  mac(pepper, 'code', owner, canonical).toString('base64')

/** 16 bits that stand beside the hash: of 65 536 codes that are not it, one is worth the slow hash. */
export const tagOf = (pepper: Buffer, owner: CodeOwner, canonical: string): number => mac(pepper, 'tag', owner, canonical).readUInt16BE()
