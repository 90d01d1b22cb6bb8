// How a program becomes a few files that hold all that it uses: to find, read and link more than a thousand small ones is most of
// a start, and much of the memory. For what is deployed (build.mjs) and for what tests start (test.mjs).

/** What is native, has files of its own, or is seldom wanted. Prisma's adapter is not among it: it knows pools of one `pg`. */
export const UNBUNDLED = ['bcrypt', 'pino-pretty', '@fastify/swagger-ui', '@prisma/client', '@prisma/schema-engine-wasm', 'undici']

/** What packages of CommonJS call. */
export const REQUIRE = "import { createRequire as __requireOf } from 'node:module'; const require = __requireOf(import.meta.url);"
