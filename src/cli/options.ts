import { parseArgs, type ParseArgsConfig } from 'node:util'

type WithHelp<C extends ParseArgsConfig> = C & { options: C['options'] & { help: { type: 'boolean', short: 'h' } } }

/** What a command is asked for. Where that is `--help`, its usage is all that it says. */
export function readOptions<const C extends ParseArgsConfig> (usage: string, config: C): ReturnType<typeof parseArgs<WithHelp<C>>> {
  let parsed
  try {
    parsed = parseArgs({ ...config, options: { ...config.options, help: { type: 'boolean', short: 'h' } } } as WithHelp<C>)
  } catch (error) {
    return refuseCall(usage, reasonOf(error))
  }
  if ((parsed.values as { help?: boolean }).help !== true) return parsed
  process.stdout.write(`${usage}\n`)
  return process.exit(0)
}

/** Why it was not done, for a user, and what the process exits with. */
export class Refusal extends Error {
  constructor (message: string, readonly exitCode: 1 | 2) { super(message) }
}

/** The same for a command whose caller may be a test: it throws instead of ending the process. @throws Refusal with the usage */
export function parsed<T> (usage: string, parse: () => T): T {
  try { return parse() } catch (error) { throw new Refusal(`${reasonOf(error)}\n\n${usage}`, 2) }
}

/** Why it cannot be read, in a sentence; what follows in Node's own is about positional arguments. */
const reasonOf = (error: unknown): string => `${((error as Error).message.split('. ', 1)[0] as string).replace(/\.$/, '')}.`

/** A wrong call is told why, and how to do it. */
export function refuseCall (usage: string, why: string): never {
  process.stderr.write(`${why}\n\n${usage}\n`)
  process.exit(2)
}
