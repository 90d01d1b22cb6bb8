// npm run bench [-- [NAME …] [--short | --keep]]: every benchmark, or those named. A whole run writes RESULTS.md, results.json
// and chart.svg; a part of it only says what it found, or with `--keep` puts it in there. `--short` tells whether they work, and
// nothing of how fast.
import { rmSync } from 'node:fs'
import { temporaryDir } from '../test/helpers/temporary.ts'
import { admin } from './admin.ts'
import { attack } from './attack.ts'
import { authorize } from './authorize.ts'
import { citus } from './citus.ts'
import { enroll } from './enroll.ts'
import { floods } from './floods.ts'
import type { Benchmark, Outcome } from './lib/benchmark.ts'
import { startServer } from './lib/database.ts'
import { forgiveBusy, startLoad } from './lib/load.ts'
import { commit, machine } from './lib/machine.ts'
import { pgbenchVersion } from './lib/pgbench.ts'
import { section, writeReport } from './lib/report.ts'
import { endReplicas } from './lib/service.ts'
import { million } from './million.ts'
import { passkeys } from './passkeys.ts'
import { recovery } from './recovery.ts'
import { replicas } from './replicas.ts'
import { start } from './start.ts'
import { verify } from './verify.ts'

const BENCHMARKS: Benchmark[] = [verify, passkeys, million, authorize, recovery, enroll, attack, floods, replicas, start, admin, citus]

const isShort = process.argv.includes('--short')
const names = process.argv.slice(2).filter(argument => !argument.startsWith('--'))
const unknown = names.filter(name => !BENCHMARKS.some(benchmark => benchmark.name === name))
if (unknown.length > 0) throw new Error(`no benchmark ${unknown.join(', ')}: there are ${BENCHMARKS.map(({ name }) => name).join(', ')}`)
const chosen = names.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => names.includes(name))

const write = (line: string): void => { process.stdout.write(`${line}\n`) }
const dir = temporaryDir('bench')
const started = performance.now()
if (isShort) forgiveBusy()
const server = await startServer(`${dir}/postgres`)
const load = startLoad()
const facts = machine(server.version, pgbenchVersion())
write(JSON.stringify(facts))

const outcomes = new Map<Benchmark, Outcome | Error>()
for (const benchmark of chosen) {
  const began = performance.now()
  write(`\n${benchmark.name}`)
  try {
    const outcome = await benchmark.run({ dir, server, load, isShort, say: line => { write(`  ${line}`) } })
    outcomes.set(benchmark, outcome)
    write(`${section(benchmark, outcome)}\n  ${JSON.stringify(outcome.figures)}`)
  } catch (error) {
    outcomes.set(benchmark, error as Error)
    write(`  failed: ${(error as Error).stack ?? String(error)}`)
    process.exitCode = 1
    endReplicas()
  }
  write(`  ${Math.round((performance.now() - began) / 1000)} s`)
}

load.stop()
await server.stop()
rmSync(dir, { recursive: true, force: true })
const seconds = Math.round((performance.now() - started) / 1000)
const failed = [...outcomes.values()].filter(outcome => outcome instanceof Error).length
if (!isShort && (names.length === 0 || (process.argv.includes('--keep') && failed === 0))) {
  writeReport({ all: BENCHMARKS, outcomes, machine: facts, commit: commit(), date: new Date(), seconds })
}
write(`\n${seconds} s; ${failed} failed`)
// What a benchmark that failed has left running does not keep us.
process.exit()
