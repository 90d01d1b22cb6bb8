import { crc32, inflateSync } from 'node:zlib'
import QRCode from 'qrcode'
import t from 'tap'
import { qrCode } from '../../../src/factors/totp/qr-code.ts'

const URIS = ['a', 'otpauth://totp/Example:alice@example.com?secret=JBSWY3DPEHPK3PXP', `otpauth://totp/Example:${'%F0%9F%94%91'.repeat(64)}?issuer=Example`]

/** Chunks of a PNG by their names, each with a checksum that is right. */
function chunksOf (url: string): Map<string, Buffer> {
  const png = Buffer.from(url.replace(/^data:image\/png;base64,/, ''), 'base64')
  t.equal(png.toString('latin1', 0, 8), '\x89PNG\r\n\x1a\n')
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < png.length;) {
    const end = at + 8 + png.readUInt32BE(at)
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, end))
    t.equal(png.readUInt32BE(end), crc32(png.subarray(at + 4, end)))
    at = end + 4
  }
  return chunks
}

t.test('the picture has each module of the code as four pixels a side, and four modules of white around', async t => {
  for (const uri of URIS) {
    const chunks = chunksOf(qrCode(uri))
    t.same([...chunks.keys()], ['IHDR', 'IDAT', 'IEND'])
    const { modules } = QRCode.create(uri, { errorCorrectionLevel: 'M' })
    const width = (modules.size + 8) * 4
    const header = chunks.get('IHDR') as Buffer
    t.same([header.readUInt32BE(0), header.readUInt32BE(4), ...header.subarray(8)], [width, width, 1, 0, 0, 0, 0], 'grey, of one bit')
    const pixels = inflateSync(chunks.get('IDAT') as Buffer)
    const stride = 1 + Math.ceil(width / 8)
    t.equal(pixels.length, stride * width)
    const isDark = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < modules.size && y < modules.size && modules.get(y, x) === 1
    let wrong = 0
    for (let y = 0; y < width; y++) {
      if (pixels[y * stride] !== 0) wrong++
      for (let x = 0; x < width; x++) {
        const isWhite = ((pixels[y * stride + 1 + (x >> 3)] as number >> (7 - x % 8)) & 1) === 1
        if (isWhite === isDark(Math.floor(x / 4) - 4, Math.floor(y / 4) - 4)) wrong++
      }
    }
    t.equal(wrong, 0, `${width} × ${width} pixels`)
  }
})
