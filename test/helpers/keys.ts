// Secrets in files, as a mounted secret has them: a directory behind a link that is swapped as a whole.
import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Secrets } from '../../src/config/secrets.ts'
import { markKeys } from '../../src/keys/keys.ts'
import { SecretKeeper } from '../../src/keys/keeper.ts'
import { type Service, startService, TestClock } from './service.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export const key = (): string => randomBytes(32).toString('base64')

/** Which keys a replica has, the first of each purpose before the others. */
export const keyNames = (secrets: Secrets): string[] => markKeys(secrets).map(({ purpose, id }) => `${purpose} ${id}`)

export interface SecretFiles {
  /** `NAME_FILE` for each, and NAME taken away. */
  env: Record<string, string | undefined>
  /** Swaps all files at once, as Kubernetes does; those that are not named stay as they are. */
  put: (changes: Record<string, string>) => void
  path: (name: string) => string
}

export function secretFiles (dir: string, values: Record<string, string>): SecretFiles {
  let held: Record<string, string> = {}
  let version = 0
  const path = (name: string): string => join(dir, name)

  function put (changes: Record<string, string>): void {
    held = { ...held, ...changes }
    const folder = join(dir, `..${++version}`)
    mkdirSync(folder)
    for (const [name, value] of Object.entries(held)) writeFileSync(join(folder, name), value, { mode: 0o600 })
    symlinkSync(folder, join(dir, '..new'))
    renameSync(join(dir, '..new'), join(dir, '..data'))
  }

  put(values)
  for (const name of Object.keys(values)) symlinkSync(join('..data', name), path(name))
  const env = Object.fromEntries(
    Object.keys(values).flatMap(name => [[name, undefined], [name.endsWith('_FILE') ? name : `${name}_FILE`, path(name)]])
  )
  return { env, put, path }
}

export interface Kept { service: Service, keeper: SecretKeeper, told: Array<[level: string, text: string]>, unfit: Error[] }

/** A service whose secrets are kept as their files are; looked at when the test says so. */
export async function startKept (
  t: Teardown,
  env: Record<string, string | undefined>,
  clock = new TestClock(),
  reportSeconds?: number
): Promise<Kept> {
  const service = await startService(t, env, clock, false)
  const told: Kept['told'] = []
  const unfit: Error[] = []
  const keeper = new SecretKeeper({
    env: service.env,
    secrets: service.secrets,
    db: service.db,
    log: (level, text) => {
      told.push([level, text])
    },
    onUnfit: error => {
      unfit.push(error)
    },
    ...(reportSeconds !== undefined && { reportSeconds })
  })
  t.teardown(() => keeper.stop())
  return { service, keeper, told, unfit }
}
