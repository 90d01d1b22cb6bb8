// The limit of the database: pgbench, on the same server, doing the statements that a login does, prepared.
import { execFile, execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Database as Statements } from '../../src/platform/db/client.ts'
import type { Send } from '../../src/platform/db/batcher.ts'
import sql from 'sql-template-tag'
import { findUser } from '../../src/users/user.sql.ts'
import { type Acceptance, settleAccepted } from '../../src/factors/attempts.sql.ts'
import { TOTP_KIND } from '../../src/factors/totp/totp.ts'
import { BY, idInSql, TENANT } from './enrolled.ts'
import { ISSUER, PEPPERS } from './keys.ts'

export function pgbenchVersion (): string {
  try { return execFileSync('pgbench', ['--version'], { encoding: 'utf8' }).trim() } catch { return 'none' }
}

/** The statements of `work` as it sends them, with their values as pgbench's variables or expressions. */
async function statementsOf (work: (db: Statements) => Promise<unknown>): Promise<string[]> {
  const statements: string[] = []
  const record = async (strings: TemplateStringsArray, ...values: unknown[]): Promise<never[]> => {
    const { text, values: parameters } = sql(strings, ...values)
    // Of a statement in several lines pgbench ends the line for itself.
    statements.push(`${text.replaceAll(/\s+/g, ' ').replaceAll(/\$(\d+)/g, (_, index) => inSql(parameters[Number(index) - 1]))};`)
    return [{ users: null, result: null }] as never[]
  }
  const alone = async <Item, Answer>(item: Item, send: Send<Item, Answer>): Promise<Answer> => (await send([item]))[0] as Answer
  await work({
    rows: record,
    batched: (_, item, send) => alone(item, send),
    settle: (_, send) => (send as () => Promise<never>)()
  } as Partial<Statements> as Statements)
  return statements
}

const inSql = (value: unknown): string =>
  Array.isArray(value) ? `ARRAY[${value.map(String).join()}]` : value === null ? 'NULL' : String(value)

/** What a login asks of the database: to read the user, and to accept the code. */
export type Part = 'read' | 'accept'

/** Each client has users of its own. */
async function script (parts: Part[]): Promise<string> {
  const acceptance: Record<keyof Acceptance, unknown> = {
    tenant: ':tenant',
    userId: idInSql('user', ':n'),
    kind: ':kind',
    epoch: 1,
    factorId: idInSql('factor', ':n'),
    counter: ':step',
    authentication: 'NULL',
    by: ':by'
  }
  const lines = await statementsOf(async db => {
    if (parts.includes('read')) await findUser(db, { tenant: ':tenant', namespace: ':issuer', subject: "'user-' || :n" } as never, PEPPERS)
    if (parts.includes('accept')) await settleAccepted(db, acceptance as never)
  })
  return ['\\set i :i + 1', '\\set n (:client_id + :clients * :i) % :users + 1', '\\set step :base + :i', ...lines].join('\n') + '\n'
}

/** Logins a second, or their parts: each at least once, with users of its own; `count` of them. */
export async function pgbench (
  dir: string,
  databaseUrl: string,
  { clients, count, users, parts = ['read', 'accept'] }: { clients: number, count: number, users: number, parts?: Part[] }
): Promise<number> {
  const file = `${dir}/login.sql`
  writeFileSync(file, await script(parts))
  const variables = { i: 0, users, clients, base: 2, tenant: TENANT, issuer: ISSUER, kind: TOTP_KIND, by: JSON.stringify(BY) }
  const { stdout } = await promisify(execFile)('pgbench', [
    '-n', '-M', 'prepared', '-c', String(clients), '-j', '2', '-t', String(Math.ceil(count / clients)), '-f', file,
    ...Object.entries(variables).map(([name, value]) => `-D${name}=${value}`), databaseUrl
  ])
  const done = Number(/actually processed: (\d+)/.exec(stdout)?.[1])
  const perSecond = Number(/tps = ([\d.]+) \(without/.exec(stdout)?.[1])
  if (!(done >= count) || !(perSecond > 0) || !/failed transactions: 0 /.test(stdout)) throw new Error(`pgbench: ${stdout}`)
  return perSecond
}
