import { ImportError } from './found.ts'

export interface Field { number: number, value: bigint | Uint8Array }

/** The fields of a message (https://protobuf.dev/programming-guides/encoding): numbers, and what has a length. */
export function readFields (message: Uint8Array): Field[] {
  const fields: Field[] = []
  let place = 0
  const take = (length: number): Uint8Array => {
    if (length > message.length - place) throw new ImportError('A QR code is not whole.')
    place += length
    return message.subarray(place - length, place)
  }
  const takeNumber = (): bigint => {
    let value = 0n
    let byte: number
    let shift = 0n
    do {
      byte = take(1)[0] as number
      value |= BigInt(byte & 0x7f) << shift
      shift += 7n
    } while (byte >= 0x80)
    return BigInt.asUintN(64, value)
  }
  while (place < message.length) {
    const tag = Number(takeNumber())
    const number = tag >>> 3
    switch (tag & 7) {
      case 0: fields.push({ number, value: takeNumber() }); break
      case 2: fields.push({ number, value: take(Number(takeNumber())) }); break
      // Of other types there is nothing here, and what follows cannot be read without knowing them.
      default: throw new ImportError('A QR code holds something else than authenticators.')
    }
  }
  return fields
}
