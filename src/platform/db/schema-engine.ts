import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { SqlDriverAdapter } from '@prisma/driver-adapter-utils'
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'

/**
 * Lends Prisma's schema engine as WebAssembly (the same code as the native binary that the CLI would download, but from
 * npm) to `use`, connected to `databaseUrl`; its connections end with it.
 */
export async function withSchemaEngine<T> (databaseUrl: string, use: (engine: glue.SchemaEngine) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
  /* c8 ignore next -- a race */
  pool.on('error', () => {}) // an idle connection that is lost shows in the next statement
  try {
    return await lend(async () => sendingScriptsWhole(await new PrismaPg(pool).connect()), use)
  } finally {
    await pool.end()
  }
}

/**
 * The same, for comparing datamodels. The engine always opens a connection, to ask for the server's version and whether
 * the schema exists; it is content with no answer, so this needs no server.
 */
export async function withOfflineSchemaEngine<T> (use: (engine: glue.SchemaEngine) => Promise<T>): Promise<T> {
  const unanswering: SqlDriverAdapter = {
    provider: 'postgres',
    adapterName: '@prisma/adapter-pg',
    queryRaw: async () => ({ columnNames: [], columnTypes: [], rows: [] }),
    /* c8 ignore start -- which of these the engine calls is its own business */
    executeRaw: async () => 0,
    executeScript: async () => {},
    startTransaction: async () => { throw new Error('There is no database here.') },
    dispose: async () => {}
    /* c8 ignore stop */
  }
  return await lend(async () => unanswering, use)
}

async function lend<T> (
  connect: () => Promise<SqlDriverAdapter>, use: (engine: glue.SchemaEngine) => Promise<T>
): Promise<T> {
  await (loading ??= load())
  const engine = await glue.SchemaEngine.new(
    { datamodels: [['schema.prisma', 'datasource db { provider = "postgresql" }']] },
    function ignoreLog () {}, // it repeats what the errors say
    bindMigrationAwareSqlAdapterFactory({
      provider: 'postgres', adapterName: '@prisma/adapter-pg', connect, connectToShadowDb: connect
    })
  )
  try {
    return await use(engine)
  } finally {
    engine.free()
  }
}

let loading: Promise<void> | undefined

/** @types/node lacks it, and the DOM's types are too many to take in for one call. */
declare const WebAssembly: {
  instantiate (bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>
}

/** The package's own entry imports the .wasm as a module, which Node does not do without a flag; so by hand. */
async function load () {
  const glueFile = fileURLToPath(import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg'))
  const { instance } = await WebAssembly.instantiate(
    await readFile(glueFile.replace(/\.js$/, '.wasm')), { './schema_engine_bg.js': withIdleTimers() })
  glue.__wbg_set_wasm(instance.exports)
  ;(instance.exports.__wbindgen_start as () => void)()
}

/** The engine limits its wait for a lock to 10 s and forgets that timer; it must not keep a finished process for so long. */
function withIdleTimers (): object {
  const imports = Object.entries(glue as unknown as Record<string, (...args: unknown[]) => unknown>)
  return Object.fromEntries(imports.map(([name, implementation]) => [name, !name.startsWith('__wbg_setTimeout_')
    ? implementation
    : (...args: unknown[]) => (implementation(...args) as NodeJS.Timeout).unref()]))
}

/**
 * PrismaPg cuts a script at every `;`, so also inside the body of a function, and commits piece by piece. Whole and
 * without arguments it is one simple query, as the native engine sends it: all of it happens, or nothing.
 */
function sendingScriptsWhole<A extends SqlDriverAdapter> (adapter: A): A {
  adapter.executeScript = async script => {
    await adapter.executeRaw({ sql: script, args: [], argTypes: [] })
  }
  return adapter
}
