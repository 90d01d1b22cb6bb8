import type { FigureName } from './figures.ts'
import type { LoadGenerator } from './load.ts'
import type { Server } from './database.ts'

export interface Context {
  /** Files of this run; PostgreSQL can read them. */
  dir: string
  server: Server
  load: LoadGenerator
  /** Only that it works, on little data: its figures mean nothing. */
  isShort: boolean
  /** Said while it runs. */
  say: (line: string) => void
}

export interface Outcome {
  /** null where it was not measured; then `why` says why. */
  figures: Partial<Record<FigureName, number | null>>
  why?: Partial<Record<FigureName, string>>
  /** Of the report: a table, its first line the heads. */
  table: string[][]
  /** Sentences below it. */
  notes: string[]
  /** What the sentences show, beside the report: contents by name. */
  files?: Record<string, string>
}

export interface Benchmark {
  name: string
  title: string
  run: (context: Context) => Promise<Outcome>
}

export const ROUNDS = 3
