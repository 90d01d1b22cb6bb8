import { requireThisMachine, requireTls } from './database.ts'
import type { Faults } from './faults.ts'
import { isLoopback } from './readers.ts'

/** A NODE_ENV that is none is refused, and the rest judged as strictly as can be. */
export const isProductive = ({ NODE_ENV }: Record<string, any>): boolean => NODE_ENV !== 'development' && NODE_ENV !== 'test'

/** Where it listens and where its data are: elsewhere than on this machine in production alone. */
export function checkPlaces (values: Record<string, any>, faults: Faults): void {
  const checkDatabase = isProductive(values) ? requireTls : requireThisMachine
  for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL']) {
    if (values[name] !== undefined) {
      faults.try(() => {
        checkDatabase(name, values[name])
      })
    }
  }
  if (isProductive(values)) return
  for (const name of ['HOST', 'ADMIN_HOST']) {
    if (values[name] !== undefined && !isLoopback(values[name])) {
      faults.add(
        name,
        'is not an address of this machine alone, and development listens on no other: set NODE_ENV=production, with keys of your own'
      )
    }
  }
}

/** Our tokens, the first factor's and an application's must not be taken for each other. */
export function refuseConfusion (
  { MFA_APPLICATION_AUDIENCES, MFA_AUDIENCE, MFA_ISSUER, JWT_ISSUER }: Record<string, any>,
  faults: Faults
): void {
  if (MFA_APPLICATION_AUDIENCES?.includes(MFA_AUDIENCE) === true) {
    faults.add('MFA_APPLICATION_AUDIENCES', 'holds MFA_AUDIENCE: a token for an application must not open this service')
  }
  if (JWT_ISSUER !== undefined && JWT_ISSUER === MFA_ISSUER) {
    faults.add('MFA_ISSUER', 'equals JWT_ISSUER: a first-factor token must not look like ours')
  }
}
