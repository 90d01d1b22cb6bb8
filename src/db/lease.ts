import type { Database } from './client.ts'

/** True while `holder` (a UUID of this process) is the one that does `name`: for `seconds`, or until it is asked again. */
export const takeLease = async (db: Database, name: string, holder: string, seconds: number): Promise<boolean> =>
  (await db.settle`SELECT take_lease_v1(${name}, ${holder}::uuid, ${seconds}::int) AS result`).outcome === 'held'
