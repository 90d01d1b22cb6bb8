// Users who are enrolled, as many as one likes, made in the database; and their right codes. All have one secret, sealed for
// each of them, and one set of recovery codes: the service cannot tell, and the load knows every code.
import { createHash } from 'node:crypto'
import { createWriteStream, rmSync, chmodSync } from 'node:fs'
import { once } from 'node:events'
import bcrypt from 'bcrypt'
import { digest, formatCode, generateCode, tagOf } from '../../src/factors/recovery-codes/recovery-code.ts'
import { seal } from '../../src/keys/seal.ts'
import { codeAt, DEFAULT_PARAMETERS, generateSecret, PERIOD_SECONDS, TOTP_KIND } from '../../src/factors/totp/totp.ts'
import type { Database } from './database.ts'
import { firstToken, ISSUER, type Sign, PEPPER, SEALING_KEY } from './keys.ts'
import { CODE_PLACE, type Group, request } from './load.ts'

export const TENANT = 'bench'
const ring = { primary: 'k1', keys: new Map([['k1', SEALING_KEY]]) }
const SECRET = generateSecret()
/** The code of everyone's first slot, which `giveCodes` makes work. */
const firstCode = generateCode(0)
export const recoveryCode = formatCode(firstCode)

/** Makes `recoveryCode` work, once, for the first `count` users. */
export async function giveCodes ({ client }: Database, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  const owners = numbers.map(n => ({ tenant: TENANT, userId: userId(n) }))
  const hashes = await Promise.all(owners.map(owner => bcrypt.hash(digest(PEPPER, owner, firstCode), BCRYPT_COST)))
  await client.query(`UPDATE recovery_codes c SET hash = g.hash, tag = g.tag, used_at = NULL
    FROM unnest($2::uuid[], $3::text[], $4::int[]) AS g (id, hash, tag) WHERE c.tenant = $1 AND c.user_id = g.id AND c.slot = 0`,
  [TENANT, owners.map(({ userId }) => userId), hashes, owners.map(owner => tagOf(PEPPER, owner, firstCode))])
}
export const BCRYPT_COST = 10
/** Of the right form, and no user's. */
export const wrongRecoveryCode = (): string => formatCode(generateCode(0))

export const subjectOf = (n: number): string => `user-${n}`

/** In no order that an index would like, as ids are; the same in SQL is `idInSql`. */
export const idOf = (kind: string, n: number): string => {
  const hex = createHash('md5').update(`${kind}-${n}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
export const userId = (n: number): string => idOf('user', n)
export const factorId = (n: number): string => idOf('factor', n)
export const idInSql = (kind: string, n: string): string => `md5('${kind}-' || ${n})::uuid`

/** Who asks, and how: what is written of each login. */
export const BY = { actor: 'bench', address: '127.0.0.1', requestId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11' }

export const currentStep = (): number => Math.floor(Date.now() / 1000 / PERIOD_SECONDS)
export const code = (step: number): string => codeAt(SECRET, step)

/** Six digits that no step near now has. */
export function wrongCode (): string {
  const near = new Set([-3, -2, -1, 0, 1, 2, 3].map(offset => code(currentStep() + offset)))
  for (let number = 0; ; number++) {
    const text = String(number).padStart(6, '0')
    if (!near.has(text)) return text
  }
}

/** One after the other are far from each other in every table. */
export function spread (count: number, of: number): number[] {
  const stride = [7919, 104729, 1299709, 15485863].find(prime => of % prime !== 0) as number
  return Array.from({ length: count }, (_, index) => 1 + (index * stride) % of)
}

/** Verifies of these users, each by the right code of its moment. */
export const verifies = (
  numbers: number[],
  claims: (n: number) => object = () => ({}),
  sign?: Sign,
  headers: (n: number) => Record<string, string> = () => ({})
): Pick<Group, 'requests' | 'codes'> => ({
  requests: numbers.map(n =>
    request({
      method: 'POST',
      path: '/mfa/verify',
      token: firstToken(TENANT, subjectOf(n), claims(n), sign),
      body: { code: CODE_PLACE },
      headers: headers(n)
    })
  ),
  codes: { firstStep: currentStep(), codes: Array.from({ length: 120 }, (_, index) => code(currentStep() + index)) }
})

/** Claims of a login session, which is remembered. */
export const sessionOf = (n: number): object => ({ sid: `session-${n}` })

/** What a remembered login is worth. */
export async function mfaToken (url: string, token: string): Promise<string> {
  const response = await fetch(`${url}/mfa/token`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{}'
  })
  if (!response.ok) throw new Error(`token: ${await response.text()}`)
  return (await response.json() as { token: string }).token
}

export async function fillEnrolled ({ client }: Database, dir: string, count: number): Promise<void> {
  // Of one order on the pages of tables and indexes: that of the ids.
  const order = Array.from({ length: count }, (_, index) => index + 1)
  if (count > 1) order.sort((a, b) => userKeys(a) - userKeys(b))
  const file = `${dir}/factors.csv`
  await writeFactors(file, order)
  await client.query('BEGIN')
  // Foreign keys hold by how the rows are made.
  await client.query('SET LOCAL session_replication_role = replica')
  await client.query('SET LOCAL work_mem = \'1GB\'')
  await client.query(`
    INSERT INTO users (tenant, id, namespace, subject, account, sources, enrolled_at)
    SELECT $1, ${
      idInSql('user', 'n')
    }, '${ISSUER}', 'user-' || n, 'user-' || n, '{"${ISSUER}": {"local": true, "sso": false}}', now() - interval '9 days'
    FROM generate_series(1, $2::int) AS n ORDER BY 2`, [TENANT, count])
  await client.query(`INSERT INTO throttles (tenant, user_id, kind)
    SELECT tenant, id, k FROM users CROSS JOIN unnest(ARRAY['enroll', 'totp']) AS k WHERE tenant = $1 ORDER BY id`, [TENANT])
  await client.query(
    'COPY factors (tenant, user_id, id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at) ' +
    `FROM '${file}' (FORMAT csv)`
  )
  await client.query(
    'INSERT INTO recovery_sets (tenant, user_id, id) SELECT tenant, id, gen_random_uuid() FROM users WHERE tenant = $1 ORDER BY id',
    [TENANT]
  )
  await client.query(`INSERT INTO recovery_codes (tenant, user_id, slot, hash, tag, pepper_id)
    SELECT tenant, id, slot, '$2b$10$', -1, 'p1' FROM users CROSS JOIN generate_series(0, 9) AS slot WHERE tenant = $1 ORDER BY id, slot`,
  [TENANT]
  )
  await client.query('COMMIT')
  await client.query('SELECT recount_users($1)', [TENANT])
  await client.query('SELECT fold_tallies($1, 1000000)', [TENANT])
  rmSync(file)
}

const userKeys = (n: number): number => parseInt(userId(n).slice(0, 8), 16)

/** A file that the server reads by itself: a million rows through a connection take longer. */
async function writeFactors (file: string, order: number[]): Promise<void> {
  const stream = createWriteStream(file)
  let lines = ''
  for (const [index, n] of order.entries()) {
    const { sealed } = seal(
      ring,
      { ...DEFAULT_PARAMETERS, kind: TOTP_KIND, tenant: TENANT, userId: userId(n), factorId: factorId(n) },
      SECRET
    )
    lines += `${TENANT},${userId(n)},${factorId(n)},totp,Authenticator 1,\\x${
      sealed.toString('hex')
    },k1,SHA1,6,30,1,2026-01-01,2026-01-01\n`
    if (index % 5000 === 4999 || index === order.length - 1) {
      if (!stream.write(lines)) await once(stream, 'drain')
      lines = ''
    }
  }
  stream.end()
  await once(stream, 'finish')
  chmodSync(file, 0o644)
}

/** As if there had been no login for long: every code is good again. What happened stays in the audit. */
export async function refill (database: Database): Promise<void> {
  const { client } = database
  await client.query('UPDATE factors SET counter = 1, last_used_at = NULL WHERE counter > 1')
  await client.query(
    "UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}' WHERE failures > 0 OR tries > 0 " +
    "OR recent <> '{}'"
  )
  await database.settle('factors, throttles, audit_events, audit_pending, audit_chain, audit_heads, mfa_sessions')
}
