import { crc32, deflateSync } from 'node:zlib'
import QRCode from 'qrcode'

/** Modules of quiet zone (ISO/IEC 18004, 6.3.8). */
const MARGIN = 4
/** Pixels of a module's side. */
const SCALE = 4

/**
 * A QR code of the text as a PNG, in a `data:` URL: grey of one bit, so that two modules are a byte. The library's own PNG has
 * four bytes a pixel until it is packed, and takes five times as long as to find out what is black.
 */
export function qrCode (text: string): string {
  const { modules } = QRCode.create(text, { errorCorrectionLevel: 'M' })
  const width = (modules.size + 2 * MARGIN) * SCALE
  const lines: Buffer[] = []
  for (let y = -MARGIN; y < modules.size + MARGIN; y++) {
    // Its filter (none), then white.
    const line = Buffer.alloc(1 + Math.ceil(width / 8), 0xff).fill(0, 0, 1)
    for (let x = 0; x < modules.size; x++) {
      const place = 1 + ((x + MARGIN) >> 1)
      if (y >= 0 && y < modules.size && modules.get(y, x)) line[place] = (line[place] as number) & (x % 2 === 0 ? 0x0f : 0xf0)
    }
    for (let times = 0; times < SCALE; times++) lines.push(line)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(width, 4)
  header[8] = 1 // bit a pixel
  const png = [SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(lines))), chunk('IEND', Buffer.alloc(0))]
  return `data:image/png;base64,${Buffer.concat(png).toString('base64')}`
}

// PNG, third edition, 5.2 and 5.3.
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

function chunk (type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type), data])
  const ends = Buffer.alloc(8)
  ends.writeUInt32BE(data.length, 0)
  ends.writeUInt32BE(crc32(named), 4)
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)])
}
