import pg from 'pg'
import t from 'tap'
import { isTakenBack } from '../../../src/platform/db/taken-back.ts'
import { databaseUrl } from '../../helpers/database.ts'

const error = (code: string | undefined, severity?: string): Error => Object.assign(new Error('x'), { code, severity })

t.test('only what the server says that it took back is certain not to have been done', t => {
  for (const code of ['22021', '23505', '25006', '40001', '40P01', '42501', '53100', '53200', '55P03', '57014', 'P0001', 'XX000']) {
    t.ok(isTakenBack(error(code, 'ERROR')), code)
  }
  for (const code of ['23505', '55P03', '57014']) t.ok(isTakenBack(error(code, 'FEHLER')), `${code} in another language`)
  for (const code of ['08006', '08007', '40003', '57P01', '57P02', '57P03']) t.notOk(isTakenBack(error(code, 'ERROR')), code)
  for (const severity of ['FATAL', 'PANIC', 'PANIK', 'FEHLER', undefined]) {
    for (const code of ['53100', '58030', 'XX001']) t.notOk(isTakenBack(error(code, severity)), `${severity} ${code}`)
  }
  for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', undefined]) t.notOk(isTakenBack(error(code)), String(code))
  t.end()
})

t.test('what a server ends by its own clock or for a lock is taken back, and the session\'s end is not', async t => {
  const client = new pg.Client({ connectionString: databaseUrl() })
  client.on('error', () => {})
  await client.connect()
  const failed = async (sql: string): Promise<Error> =>
    await client.query(sql).then(() => {
      throw new Error('it was done')
    }, (error: Error) => error)
  await client.query("SET statement_timeout = '50ms'")
  t.ok(isTakenBack(await failed('SELECT pg_sleep(10)')))
  t.ok(isTakenBack(await failed('SELECT 1/0')))
  t.notOk(isTakenBack(await failed('SELECT pg_terminate_backend(pg_backend_pid())')))
  await client.end()
})
