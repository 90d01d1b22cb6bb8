import { fileURLToPath } from 'node:url'
import { defineConfig } from 'prisma/config'

// The CLI wants to download a native schema engine even for `generate`, `validate` and `format`, which never run it.
// Naming any file that exists as "the engine" stops that, so an air-gapped machine can build. What does need an
// engine (deploy, diff) goes through its WebAssembly twin: src/platform/db/migrate.ts.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(import.meta.url)

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' }
})
