import { text as readAll } from 'node:stream/consumers'
import { readTokenRules, type TokenRules } from '../config/config.ts'
import { DATA_DIR, environmentOf, isDevelopment, readEnvFile } from '../config/development.ts'
import type { Caller, FirstFactor } from '../http/auth/caller.ts'
import type { Issuer } from '../http/auth/issuer.ts'
import { clip, type RefusalCause } from '../http/auth/refused-token.ts'
import { findRunning } from '../platform/embedded-postgres/embedded.ts'
import { explain } from './explain.ts'
import { readOptions, refuseCall } from './options.ts'
import { decisionBy, decisionWithout } from './token-decision.ts'
import { duration, inspectToken, type Report } from './token-report.ts'

export const USAGE = `npm run token -- check [TOKEN] [--env-file FILE]      (or: npx headless-mfa token check, node dist/cli/token.js check)

Says whether the service would accept a token, and why not: each check with ✓ or ✗, and what to change. Then the tenant,
roles, groups and login session, and the decision that follows. It changes nothing. A shell keeps what you type in its
history, so give a real token on standard input.

  TOKEN             the token; without it, or with -, it is read from standard input
  --env-file FILE   the configuration to try, as NAME=value lines; by default this environment, in development with .env
                    and .data, as npm start uses it

If DATABASE_URL is set and can be reached, the database says what it knows about the user. Only the variables that tokens
are checked against must be in the configuration.

Exits with 0 if the token is accepted, 1 if it is not, 2 for a wrong call or a configuration that cannot be used.`

export interface Terminal {
  env: NodeJS.ProcessEnv
  input: NodeJS.ReadableStream
  say: (line: string) => void
  note: (line: string) => void
  now?: Date
  dataDir?: string
}

/** @returns the exit code. @throws ConfigError */
export async function checkToken (
  args: string[],
  { env: given, input, say, note, now = new Date(), dataDir = DATA_DIR }: Terminal
): Promise<number> {
  const { values: { 'env-file': file }, positionals: [argument = '-', ...more] } = readOptions(USAGE, {
    args,
    allowPositionals: true,
    options: { 'env-file': { type: 'string' } }
  })
  if (more.length > 0) refuseCall(USAGE, 'That is more than one token: check one at a time, without white space in it.')
  const env = file === undefined ? environmentOf(given) : readEnvFile('--env-file', file)
  const rules = readTokenRules(env)
  if (argument === '-' && (input as { isTTY?: boolean }).isTTY === true) note('Paste the token, then press Enter and Ctrl-D.')
  const token = (argument === '-' ? await readAll(input) : argument).trim().replace(/^Bearer +/i, '')

  const report = await inspectToken(token, rules, now)
  say(report.entry === undefined ? 'No entry of the configuration trusts its issuer.' : `Held against ${report.entry}.`)
  say('')
  for (const line of checkLines(report)) say(line)
  const { caller, issuer } = report
  if (caller !== undefined && issuer !== undefined) {
    for (
      const line of [
        '',
        report.isAccepted ? 'It says' : 'It says, and it would count if all were ✓',
        ...table(whatItSays(caller, issuer, now))
      ]
    ) say(line)
  }
  let { isAccepted } = report
  if (caller !== undefined) {
    say('')
    const url = rules.DATABASE_URL ?? (isDevelopment(env) && file === undefined ? findRunning(dataDir) : undefined)
    isAccepted = await sayDecision({ caller, rules, url, now, env, say }) && isAccepted
  }
  say('')
  say(isAccepted ? 'The service accepts it.' : 'The service does not accept it.')
  return isAccepted ? 0 : 1
}

/** The same for this process: with what it is given, and its exit code. */
export async function runCheck (args: string[]): Promise<never> {
  const note = (line: string): void => { process.stderr.write(`${line}\n`) }
  try {
    // What is open still, as connections to keys that are kept alive, would keep the process for seconds.
    process.exit(
      await checkToken(args, {
        env: process.env,
        input: process.stdin,
        say: line => {
          process.stdout.write(`${line}\n`)
        },
        note
      })
    )
  } catch (error) {
    note(explain(error, process.env))
    process.exit(2)
  }
}

const REMEDIES: Partial<Record<RefusalCause, string>> = {
  ambiguous: 'Have it name the audience of one entry, or give the entries audiences that no token has together.',
  malformed: 'Ask the issuer for a signed access token for your API.',
  header: 'Have the issuer leave it out.',
  issuer: 'Copy iss into the setting, to the last slash, or add an entry for it.',
  audience: 'Have the issuer add the audience, or name the one that is there, if it is this API\'s alone.',
  algorithm: 'Name the algorithm, or set the key that goes with it.',
  key: 'Compare kid with the issuer\'s key set: is it the same environment? A new key is found within 30 seconds.',
  signature: 'Is it a token of this environment? A secret is taken as text, not as base64.',
  kind: 'Send the access token, or set "tokenUse": "id" to take ID tokens.',
  expired: 'Get a new one. If it is new, set the clocks.',
  not_yet: 'Set the clocks; times are in whole seconds.',
  lifetime: 'Have the issuer make shorter ones, or set maxTokenSeconds.',
  absent: 'Add the claim at the issuer, or name another in the setting.',
  unreadable: 'Have the issuer write it as it is expected.',
  not_allowed: 'Add it to the setting, if this issuer speaks for it.'
}

const MARKS = new Map([[true, '✓'], [false, '✗'], [undefined, '?']])

const checkLines = ({ checks }: Report): string[] => checks.flatMap(({ isOk, text, cause }) => {
  const remedy = cause === undefined ? undefined : REMEDIES[cause]
  return [`  ${MARKS.get(isOk) as string} ${text}`, ...(remedy === undefined ? [] : [`      ${remedy}`])]
})

type Row = [name: string, value: string]

const table = (rows: Row[]): string[] => rows.map(([name, value]) => `  ${name.padEnd(9)} ${value}`)

/** What comes of it, as it would be used: names that are shown are cut short, and cannot change the terminal. */
function whatItSays (caller: Caller, issuer: Issuer, now: Date): Row[] {
  const { subject, namespace, tenant, kind, issuerClaims } = caller
  const names = (list: readonly string[]): string => list.length === 0 ? 'none' : list.map(clip).join(', ')
  return [
    ['user', kind === 'service' ? `none: it is a machine's (${clip(subject)})` : `${clip(subject)}, of the namespace ${namespace}`],
    ...(issuerClaims === undefined
      ? []
      : [['account', issuerClaims.account === undefined ? 'the same' : clip(issuerClaims.account)] satisfies Row]),
    ['tenant', clip(tenant)],
    [
      'roles',
      `${names(caller.roles)}${
        issuer.grants.length === 0
          ? '; its issuer may grant none that begins with mfa: (grants)'
          : `; of mfa: roles its issuer may grant ${issuer.grants.join(', ')}`
      }`
    ],
    [
      'groups',
      `${caller.groups === undefined ? 'not said' : names(caller.groups)}${
        issuerClaims?.areGroupsUnknown === true ? '; some are left out or cannot be read, so a policy for groups covers the user' : ''
      }`
    ],
    ...(issuerClaims === undefined
      ? []
      : [
        [
          'accounts',
          issuerClaims.accounts === undefined ? `not said: ${issuer.loginType}, by the login type` : names(issuerClaims.accounts)
        ] satisfies Row
        ]),
    ['session', sessionOf(caller, issuer)],
    ['login', loginOf(caller, issuer, now)],
    ...(issuer.mfa === undefined
      ? []
      : [['own MFA', ownMfa(caller)] satisfies Row])
  ]
}

function ownMfa ({ isIdpMfa, isIdpPhr }: Caller): string {
  if (!isIdpMfa) return 'does not count: amr, acr or the time of the login does not fit'
  return isIdpPhr ? 'counts, and is phishing-resistant' : 'counts'
}

function sessionOf ({ session }: Caller, { sessionClaims }: Issuer): string {
  if (session?.isRemembered === true) return `${clip(session.id)}: a code counts for all of it`
  return sessionClaims.length === 0
    ? 'none is configured (sessionClaim): a code counts until the MFA token ends'
    : `not said in ${sessionClaims.join(' or ')}: a code counts until the MFA token ends`
}

function loginOf ({ authTime, kind }: Caller, { claims, isIatLogin }: Issuer, now: Date): string {
  if (kind === 'service') return 'none'
  if (authTime !== undefined) return `${new Date(authTime * 1000).toISOString()}, ${duration(now.getTime() / 1000 - authTime)} ago`
  return `not known (${claims.authTime.join('.')}${isIatLogin ? '' : ', iatIsLogin'}): the user can't set up a first factor with it`
}

interface Deciding {
  caller: Caller
  rules: TokenRules
  url: string | undefined
  now: Date
  env: NodeJS.ProcessEnv
  say: (line: string) => void
}

/** Whether it counts still, by the database; true where that cannot be asked. */
async function sayDecision ({ caller, rules, url, now, env, say }: Deciding): Promise<boolean> {
  if (caller.kind === 'service') {
    say('A machine needs no MFA. It opens what its roles name: mfa:auditor reads, mfa:sync tells of users.')
    return true
  }
  let why = 'no DATABASE_URL is set, and no embedded database runs'
  if (url !== undefined) {
    try {
      if (rules.MFA_PEPPERS === undefined) throw new Error('MFA_PEPPERS is missing.')
      const { lines, isRevoked } = await decisionBy(url, caller, rules.MFA_PEPPERS, rules, now)
      say('Decision, by what the database knows now')
      for (const line of lines) say(`  ${line}`)
      return !isRevoked
    } catch (error) {
      why = explain(error, env).replace(/\.$/, '')
    }
  }
  say(`Decision, without the database: ${why}`)
  for (
    const line of caller.mfa === undefined
      ? decisionWithout(caller as FirstFactor, rules, now)
      : ['allow (mfa_verified), unless it was ended or only a passkey counts of the user: the database knows']
  ) say(`  ${line}`)
  return true
}
