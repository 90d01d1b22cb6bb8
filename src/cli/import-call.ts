// What an import is asked for: said before anything is opened.
import { parseArgs } from 'node:util'
import type { Target } from '../import/plan.ts'
import { type Source, SOURCES } from '../import/sources.ts'
import { wrong } from './admin-call.ts'
import { parsed } from './options.ts'

export const USAGE = `npm run import -- --from SOURCE [options] FILE

${Object.entries(SOURCES).map(([name, { file }]) => `  ${name.padEnd(20)}  ${file}`).join('\n')}

  --commit             does it; without it the report says what it would do
  --tenant TENANT      of all users; by default the issuer's, or default
  --namespace NAME     the issuer that the subjects belong to; needed if there are several namespaces
  --subject id|username|email   which of their names is the sub of your tokens; docs/import.md has the default
  --users-model NAME   allauth: the model of the users, app.model, if several in the file fit
  --secret-file FILE   better-auth: what BETTER_AUTH_SECRET holds
  --secrets-file FILE  better-auth: what BETTER_AUTH_SECRETS holds
  --issuer NAME        aegis, bitwarden, google-authenticator: the issuer whose accounts are yours, as the app shows it

The file is UTF-8, or UTF-16 with a byte order mark. It prints a line of JSON for each row on standard output, and a summary on
standard error. If it was cut off, run it again: it goes on, and imports no user twice.

Exits with 0 when it is done, 1 if the file or the database cannot be used, 2 for a wrong call or a configuration that cannot be used.`

const SUBJECTS: Array<Target['subject']> = ['id', 'username', 'email']

/** Options that only some files are for, and those. */
const ONLY_OF: Record<string, string[]> = {
  'users-model': ['allauth'],
  'secret-file': ['better-auth'],
  'secrets-file': ['better-auth'],
  issuer: Object.entries<Source>(SOURCES).filter(([, { isApp }]) => isApp).map(([name]) => name)
}

const parse = (args: string[]) => parseArgs({
  args,
  allowPositionals: true,
  options: {
    from: { type: 'string', default: '' },
    commit: { type: 'boolean', default: false },
    tenant: { type: 'string' },
    namespace: { type: 'string' },
    subject: { type: 'string' },
    'users-model': { type: 'string' },
    'secret-file': { type: 'string' },
    'secrets-file': { type: 'string' },
    issuer: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false }
  }
})

export type ImportOptions = ReturnType<typeof parse>['values']

export interface ImportCall { options: ImportOptions, source: Source, subject: Target['subject'], path: string }

/** Null: help is asked for. */
export function readImportCall (args: string[]): ImportCall | null {
  const { values: options, positionals: [path = '', ...more] } = parsed(USAGE, () => parse(args))
  if (options.help) return null
  const { from, subject } = options
  const source = Object.entries<Source>(SOURCES).find(([name]) => name === from)?.[1] ??
    wrong(`--from must be one of ${Object.keys(SOURCES).join(', ')}`)
  for (const [option, names] of Object.entries(ONLY_OF)) {
    if (options[option as keyof ImportOptions] !== undefined && !names.includes(from)) wrong(`--${option} is for ${names.join(', ')} alone`)
  }
  if (from === 'better-auth' && options['secret-file'] === undefined && options['secrets-file'] === undefined) {
    wrong('better-auth encrypts its secrets: --secret-file FILE (or --secrets-file) must hold the key')
  }
  if (path === '' || more.length > 0) wrong('Name one file')
  const known = SUBJECTS.find(name => name === (subject ?? source.subject)) ?? wrong(`--subject must be one of ${SUBJECTS.join(', ')}`)
  return { options, source, subject: known, path }
}
