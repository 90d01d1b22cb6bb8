// The limit of recovery codes: bcrypt on every core and nothing else. Says how many compares it did in a second.
import bcrypt from 'bcrypt'

const { COST, CORES, SECONDS } = process.env as { COST: string, CORES: string, SECONDS: string }
const hash = await bcrypt.hash('a code', Number(COST))
const start = performance.now()
let count = 0
await Promise.all(Array.from({ length: Number(CORES) }, async () => {
  for (; performance.now() - start < Number(SECONDS) * 1000; count++) await bcrypt.compare('another', hash)
}))
process.send?.({ perSecond: count / (performance.now() - start) * 1000 })
process.disconnect()
