import { parseArgs } from 'node:util'
import { Value } from 'typebox/value'
import { Reason } from '../http/schema.ts'
import type { PolicyFields } from '../policy/floor.ts'
import type { Enforcement } from '../policy/policy.ts'
import { parsed, Refusal } from './options.ts'

export const USAGE = `npm run admin -- COMMAND --tenant TENANT --user SUB --reason "why" [--json]

  reset     removes all authenticators and codes, and signs the user out. They set up a new one at their next login
            --require-code   they also need the code that is printed, once
  unlock    ends waits and locks
  sign-out  ends all their MFA tokens and remembered sessions
  bypass    prints a code for one login, in place of the second factor
            --seconds 900    how long it works, 60 to 900
  enable    lets a user in again who was disabled by an application
  policy optional|report_only|required    who must have MFA, in the whole tenant; without --user
         --phishing-resistant off         passkeys are not required any more; with the above, or alone

  --tenant TENANT     default: "default"
  --user SUB          the sub of the user's tokens
  --namespace NAME    the issuer of that sub, if several issuers have the same
  --reason "why"      the audit keeps it; the actor there is "operator"
  --json              one line of JSON instead of a sentence

Exits with 0 when it is done, 1 if it was not (there is no such user, there is nothing to do, the deployment's floor),
2 for a wrong call, or if the configuration or the database cannot be used. It does all or nothing.`

export const wrong = (why: string): never => { throw new Refusal(`${why} (--help says how)`, 2) }
export const refuse = (why: string): never => { throw new Refusal(why, 1) }

const ENFORCEMENTS: readonly string[] = ['optional', 'report_only', 'required'] satisfies Enforcement[]

type Options = ReturnType<typeof parse>['values']

const parse = (args: string[]) => parseArgs({
  args,
  allowPositionals: true,
  options: {
    tenant: { type: 'string' },
    namespace: { type: 'string' },
    user: { type: 'string' },
    reason: { type: 'string' },
    seconds: { type: 'string' },
    'require-code': { type: 'boolean' },
    'phishing-resistant': { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' }
  }
})

const COMMON: ReadonlyArray<keyof Options> = ['tenant', 'reason', 'json']
const OF_USER = [...COMMON, 'user', 'namespace'] as const
const ALLOWED: Record<string, ReadonlyArray<keyof Options>> = {
  reset: [...OF_USER, 'require-code'],
  unlock: OF_USER,
  'sign-out': OF_USER,
  bypass: [...OF_USER, 'seconds'],
  enable: OF_USER,
  policy: [...COMMON, 'phishing-resistant']
}

/** What is asked of one user, or of a tenant's policy. */
export interface Call {
  command: 'reset' | 'unlock' | 'sign-out' | 'bypass' | 'enable' | 'policy'
  tenant: string
  user: string
  namespace: string | undefined
  reason: string
  seconds: number
  isCodeRequired: boolean
  /** Of `policy`. */
  change: Partial<Pick<PolicyFields, 'enforcement' | 'phishingResistant'>>
  isJson: boolean
}

/** All that is wrong with a call is said before anything is opened. Null: help is asked for. */
export function readCall (args: string[]): Call | null {
  const { values: options, positionals: [command = '', ...more] } = parsed(USAGE, () => parse(args))
  if (options.help === true) return null
  const allowed = Object.hasOwn(ALLOWED, command)
    ? ALLOWED[command] as ReadonlyArray<keyof Options>
    : wrong(command === '' ? 'Which command?' : `There is no command ${JSON.stringify(command)}`)
  for (const option of Object.keys(options) as Array<keyof Options>) if (!allowed.includes(option)) wrong(`${command} has no --${option}`)
  const { tenant = 'default', user = '', namespace, reason = '', seconds = '900' } = options
  if (reason === '') wrong('--reason "why" is missing: it is kept in the audit')
  if (!Value.Check(Reason, reason)) wrong('--reason is one line of up to 500 characters')
  const [enforcement, ...rest] = command === 'policy' ? more : [undefined, ...more]
  const phishingResistant = options['phishing-resistant']
  const isEnforcement = enforcement === undefined ? phishingResistant !== undefined : ENFORCEMENTS.includes(enforcement)
  if (command === 'policy' && (!isEnforcement || rest.length > 0)) wrong(`policy is one of ${ENFORCEMENTS.join(', ')}`)
  if (phishingResistant !== undefined && phishingResistant !== 'off') {
    wrong('--phishing-resistant is off: what binds administrators is for one of them to set, who has a passkey')
  }
  if (rest.length > 0) wrong(`What is ${JSON.stringify(rest[0])}?`)
  if (command !== 'policy' && user === '') wrong('--user SUB is missing')
  if (!/^\d{1,4}$/.test(seconds) || Number(seconds) < 60 || Number(seconds) > 900) wrong('--seconds is a number from 60 to 900')
  return {
    command: command as Call['command'],
    tenant,
    user,
    namespace,
    reason,
    seconds: Number(seconds),
    isCodeRequired: options['require-code'] === true,
    change: {
      ...(enforcement !== undefined && { enforcement: enforcement as Enforcement }),
      ...(phishingResistant !== undefined && { phishingResistant: 'off' })
    },
    isJson: options.json === true
  }
}
