// RSA keys cost a core a tenth of a second each: a run of tests shares these, which before.ts makes while its database starts.
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { readRun } from './database.ts'

const BITS = { modulusLength: 2048 }
const MANY = 8

/** PKCS#8 in PEM. */
export const makeRsaKeys = async (): Promise<string[]> => await Promise.all(Array.from({ length: MANY }, async () => {
  const { privateKey } = await promisify(generateKeyPair)('rsa', BITS)
  return privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
}))

let given = 0

/** Others than at the last calls: no test needs as many at once as there are. */
export function rsaPair (): { privateKey: KeyObject, publicKey: KeyObject } {
  const pem = readRun().rsaKeys[given++ % MANY] as string
  const privateKey = createPrivateKey(pem)
  return { privateKey, publicKey: createPublicKey(privateKey) }
}
