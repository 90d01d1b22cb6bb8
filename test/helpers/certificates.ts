// Certificate authorities and a server's certificate, made by openssl.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
const DAYS = ['-days', '2']

const openssl = (dir: string, command: string, ...args: string[]): void => {
  execFileSync('openssl', [command, ...args], { cwd: dir, stdio: 'ignore' })
}

/** Two authorities: `ours.pem` with `ours.key`, and `other.pem` with `other.key`. */
export function makeAuthorities (dir: string): void {
  for (const name of ['ours', 'other']) {
    openssl(dir, 'req', '-x509', ...KEY, ...DAYS, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`)
  }
}

/** `server.pem` with `server.key`: for these names (`DNS:…`), by this authority. */
export function makeCertificate (dir: string, names: string, ca: string): void {
  writeFileSync(join(dir, 'names'), `subjectAltName=${names}\n`)
  openssl(dir, 'req', ...KEY, '-subj', '/CN=server', '-keyout', 'server.key', '-out', 'server.csr')
  const signedBy = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial']
  openssl(dir, 'x509', '-req', '-in', 'server.csr', ...signedBy, ...DAYS, '-extfile', 'names', '-out', 'server.pem')
}
