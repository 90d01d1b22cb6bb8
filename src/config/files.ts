import { readFileSync } from 'node:fs'
import { type DecodeError, decodeText } from '../platform/decode.ts'
import { ConfigError } from './readers.ts'

/**
 * The text of a file that a variable names, in UTF-8, with a byte order mark or without.
 * @throws ConfigError that says where it is not; the path is not told, as it is what the variable holds
 */
export function readText (variable: string, path: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new ConfigError(variable, `cannot be read (${(error as NodeJS.ErrnoException).code as string})`)
  }
  if (/^(fffe|feff)/.test(bytes.subarray(0, 2).toString('hex'))) throw new ConfigError(variable, 'is UTF-16: save it as UTF-8')
  try {
    return decodeText(bytes)
  } catch (error) {
    throw new ConfigError(variable, `is not UTF-8 at ${(error as DecodeError).place}`)
  }
}
