// PostgreSQL as it comes, with durable commits; only what a checkpoint or a full buffer would do in the middle of a
// measurement is moved out of it.
import pg from 'pg'
import { startEmbedded } from '../../src/platform/embedded-postgres/embedded.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'

export const SETTINGS = {
  shared_buffers: '2GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  max_connections: '200',
  maintenance_work_mem: '512MB'
}

export interface Server {
  /** Of PostgreSQL. */
  version: string
  pid: number
  url: (database: string) => string
  /** A database with our tables. */
  create: (name: string) => Promise<Database>
  stop: () => Promise<void>
}

export interface Database {
  name: string
  url: string
  client: pg.Client
  /** What was written is on the disk, what is dead is gone, and what is left is known to the planner. */
  settle: (tables?: string) => Promise<void>
  drop: () => Promise<void>
}

const TEMPLATE = 'bench_template'

export async function startServer (dataDir: string): Promise<Server> {
  const server = await startEmbedded({ dataDir, database: TEMPLATE, isPersistent: false, settings: SETTINGS })
  const url = (database: string): string => Object.assign(new URL(server.url), { pathname: `/${database}` }).href
  await applyMigrations(url(TEMPLATE))
  const owner = new pg.Client({ connectionString: url('postgres') })
  await owner.connect()
  const { rows: [{ version, file }] } = await owner.query(
    "SELECT split_part(version(), ' ', 2) AS version, pg_read_file('postmaster.pid') AS file"
  )
  return {
    version,
    pid: Number(file.split('\n')[0]),
    url,
    async create (name) {
      await owner.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY file_copy`)
      const client = new pg.Client({ connectionString: url(name) })
      await client.connect()
      client.on('error', () => {}) // The server may stop while a benchmark that failed still has it.
      return {
        name,
        url: url(name),
        client,
        async settle (tables = '') {
          await client.query(`VACUUM (ANALYZE) ${tables}`)
          await client.query('CHECKPOINT')
        },
        async drop () {
          await client.end()
          await owner.query(`DROP DATABASE ${name} WITH (FORCE)`)
        }
      }
    },
    async stop () {
      await owner.end()
      await server.stop()
    }
  }
}
