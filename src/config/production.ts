import type { KeyRing } from '../keys/keys.ts'
import { requireTls } from './database.ts'
import { DEVELOPMENT_ID, DEVELOPMENT_KID, isDevelopmentKey } from './development-key.ts'
import type { Faults } from './faults.ts'
import { materialsOf } from './keys.ts'
import type { SigningKey } from './signing-keys.ts'

/** What is good enough for a developer's machine, and for no other. */
export function requireProduction (values: Record<string, unknown>, faults: Faults): void {
  for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL']) {
    if (values[name] !== undefined) {
      faults.try(() => {
        requireTls(name, values[name] as string)
      })
    }
  }
  refuseDevelopmentKeys(values, faults)
  const { THROTTLE_LOCK: lock, THROTTLE_DAY: day, THROTTLE_MONTH: month, THROTTLE_WAITS: waits } = values as Record<string, number> & {
    THROTTLE_WAITS: number[] | undefined
  }
  const floors: Array<[name: string, isBelow: boolean, why: string]> = [
    ['THROTTLE_LOCK', (lock as number) > 30, 'is over 30'],
    ['THROTTLE_DAY', (day as number) > 20, 'is over 20'],
    ['THROTTLE_MONTH', (month as number) > 30, 'is over 30'],
    [
      'THROTTLE_WAITS',
      waits !== undefined && (waits.length > 5 || (waits.at(-1) as number) < 30),
      'must reach 30 seconds at the fifth failure'
    ]
  ]
  for (const [name, isBelow, why] of floors) if (isBelow) faults.add(name, `${why}, the floor in production`)
}

/** They lie in a folder of a developer's machine, where others and backups may have read them. */
function refuseDevelopmentKeys (values: Record<string, unknown>, faults: Faults): void {
  const why = 'holds a key of development (.data/keys.json), which production does not take. Make its own: '
  const howToMake: Record<string, string> = {
    MFA_ENCRYPTION_KEYS: 'npm run keys -- add sealing',
    MFA_PEPPERS: 'npm run keys -- add pepper',
    MFA_SIGNING_KEYS: 'npm run keys -- add signing'
  }
  const refuse = (name: string): void => { faults.add(name, why + (howToMake[name] ?? 'openssl rand -base64 48')) }
  for (const name of ['MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) {
    if ((values[name] as KeyRing | undefined)?.keys.has(DEVELOPMENT_ID) === true) refuse(name)
  }
  if ((values.MFA_SIGNING_KEYS as SigningKey[] | undefined)?.some(({ kid }) => kid === DEVELOPMENT_KID) === true) refuse('MFA_SIGNING_KEYS')
  for (const [name, material] of materialsOf(values)) if (isDevelopmentKey(material)) refuse(name)
}
