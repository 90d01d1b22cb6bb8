import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATOR } from '../audit/record.sql.ts'
import { type Config, readConfig } from '../config/config.ts'
import { DATA_DIR } from '../config/development.ts'
import { Secrets } from '../config/secrets.ts'
import { createBypass } from '../factors/recovery-codes/bypass.ts'
import type { CodeOwner } from '../factors/recovery-codes/recovery-code.ts'
import { SecretKeeper } from '../keys/keeper.ts'
import { Hasher } from '../platform/bcrypt/hashing.ts'
import { bcryptThreads } from '../platform/bcrypt/threads.ts'
import { connect, type Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'
import { OutcomeUnknownError, UnavailableError } from '../platform/unavailable.ts'
import { fieldsBelow } from '../policy/floor.ts'
import { settlePolicy } from '../policy/store.ts'
import {
  type AdminAction,
  type NewBypass,
  settleEnabled,
  settleIssued,
  settleReset,
  settleSignOut,
  settleUnlocked
} from '../users/admin/actions/store.ts'
import { findByAccount, findBySubject, hasUsers, type Named } from '../users/user.sql.ts'
import { type Call, readCall, refuse, USAGE, wrong } from './admin-call.ts'
import { explain } from './explain.ts'
import type { Terminal } from './keys-command.ts'
import { Refusal } from './options.ts'

/** What was done: for a program, and for people. */
interface Done { result: Record<string, unknown>, text: string }

/** Does one thing, says one thing, and answers what the process exits with. */
export async function adminCommand (args: string[], terminal: Terminal): Promise<0 | 1 | 2> {
  try {
    const call = readCall(args)
    if (call === null) {
      terminal.say(USAGE)
      return 0
    }
    const { result, text } = await withSite(terminal, site => call.command === 'policy' ? setPolicy(site, call) : actOn(site, call))
    terminal.say(call.isJson ? JSON.stringify(result) : text)
    return 0
  } catch (error) {
    terminal.note(lineOf(error as Error, terminal))
    return error instanceof Refusal ? error.exitCode : 2
  }
}

function lineOf (error: Error, { env }: Terminal): string {
  if (error instanceof OutcomeUnknownError) {
    return `It may have been done. ${explain(error, env)} The audit says whether it was; look before you repeat it.`
  }
  return `${error instanceof UnavailableError ? 'Nothing was done. ' : ''}${explain(error, env)}`
}

interface Site {
  db: Database
  config: Config
  makeCode: (owner: CodeOwner, seconds: number) => Promise<{ shown: string, kept: NewBypass }>
}

async function withSite (terminal: Terminal, work: (site: Site) => Promise<Done>): Promise<Done> {
  const config = readConfig(terminal.env)
  const embedded = config.DATABASE_URL === undefined ? await startEmbedded({ dataDir: DATA_DIR, log: () => {} }) : undefined
  const secrets = new Secrets(config, false)
  const db = connect(() => secrets.databaseUrl ?? embedded?.url as string, 2)
  const makeCode: Site['makeCode'] = async ({ tenant, userId }, seconds) => {
    // Only for a code must the keys be those of the database: who is locked out is unlocked without.
    const keeper = new SecretKeeper({
      env: terminal.env,
      secrets,
      db,
      log: (_level, text) => {
        terminal.note(text)
      },
      onUnfit: error => {
        throw error
      }
    })
    await keeper.check()
    const hasher = new Hasher(bcryptThreads, config.BCRYPT_COST)
    const { shown, hashed } = await createBypass(text => hasher.hash(text), secrets.peppers, { tenant, userId })
    return { shown, kept: { id: randomUUID(), ...hashed, seconds } }
  }
  try {
    await reach(db)
    return await work({ db, config, makeCode })
  } finally {
    await db.close()
    await embedded?.stop()
  }
}

/** A machine in trouble is slow to connect to: what costs a request its answer is tried again here. */
async function reach (db: Database): Promise<void> {
  for (let tries = 5; ; tries--) {
    try {
      await hasUsers(db, '')
      return
    } catch (error) {
      if (tries === 1 || (error as UnavailableError).code === '28P01') throw error
      await sleep(300)
    }
  }
}

async function findOne (db: Database, { tenant, user, namespace }: Call): Promise<Named> {
  const all = await findBySubject(db, tenant, user)
  const found = all.filter(each => namespace === undefined || each.namespace === namespace)
  if (found.length > 1) {
    wrong(`Several users of tenant ${tenant} have the sub ${user}: add --namespace, one of ${found.map(each => each.namespace).join(', ')}`)
  }
  if (found[0] !== undefined) return found[0]
  if (all[0] !== undefined) {
    refuse(
      `No user of tenant ${tenant} and that namespace has the sub ${user}: --namespace ${all.map(each => each.namespace).join(' or ')}`
    )
  }
  const [shown] = await findByAccount(db, tenant, user)
  return refuse(
    `No user of tenant ${tenant} has the sub ${user}${shown === undefined ? '' : `: it is the account of --user ${shown.subject}`}.`
  )
}

/** What the settlement answered; `text` goes on from the name. */
interface ActionResult {
  settled: Settled<'reset_user' | 'unlock_user' | 'sign_out_user' | 'issue_bypass' | 'enable_user'>
  code?: string
  text: string
}

async function resetUser ({ db, makeCode }: Site, target: AdminAction, { isCodeRequired, seconds }: Call): Promise<ActionResult> {
  const bypass = isCodeRequired ? await makeCode(target, seconds) : null
  const settled = await settleReset(db, target, bypass?.kept ?? null)
  if (settled.outcome !== 'reset') return { settled, text: 'has no authenticators and no codes.' }
  return {
    settled,
    text: `was reset: ${settled.factors} authenticators and all codes are gone. At the next login a new one is set up${
      bypass === null ? '' : ', with this code'
    }.`,
    ...(bypass !== null && { code: bypass.shown })
  }
}

async function unlockUser ({ db }: Site, target: AdminAction): Promise<ActionResult> {
  return { settled: await settleUnlocked(db, target), text: 'was unlocked: no wait, no lock, and the budget is whole.' }
}

async function signOutUser ({ db }: Site, target: AdminAction): Promise<ActionResult> {
  return { settled: await settleSignOut(db, target), text: 'was signed out: all MFA tokens and remembered sessions have ended.' }
}

async function issueBypass ({ db, makeCode }: Site, target: AdminAction, { seconds }: Call): Promise<ActionResult> {
  const { shown, kept } = await makeCode(target, seconds)
  return { settled: await settleIssued(db, target, kept), code: shown, text: 'has a code for one login.' }
}

async function enableUser ({ db }: Site, target: AdminAction): Promise<ActionResult> {
  const settled = await settleEnabled(db, target)
  return { settled, text: settled.outcome === 'nothing' ? 'is not disabled.' : 'is let in again.' }
}

const ACTIONS = { reset: resetUser, unlock: unlockUser, 'sign-out': signOutUser, bypass: issueBypass, enable: enableUser }

async function actOn (site: Site, call: Call): Promise<Done> {
  const { command, tenant, user, reason } = call
  const found = await findOne(site.db, call)
  const { settled, code, text } = await ACTIONS[command as keyof typeof ACTIONS](site, {
    tenant,
    userId: found.userId,
    reason,
    isSupport: false,
    by: OPERATOR
  }, call)
  if (settled.outcome === 'gone') refuse(`${user} was erased meanwhile.`)
  if (settled.outcome === 'nothing') refuse(`Nothing to do: ${user} ${text}`)
  const expiresAt = code === undefined ? undefined : new Date((settled as { expiresAt: string }).expiresAt).toISOString()
  const shown = code === undefined
    ? ''
    : `\n${code}  for POST /mfa/recovery, once, until ${expiresAt as string}. It is not shown again: hand it over face to face.`
  const { outcome } = settled
  return {
    result: {
      outcome,
      tenant,
      ...found,
      ...(outcome === 'reset' && { factors: settled.factors }),
      ...(code !== undefined && { code, expiresAt })
    },
    text: `${user} of ${tenant} ${text}${shown}`
  }
}

async function setPolicy ({ db, config }: Site, { tenant, change, reason }: Call): Promise<Done> {
  if (!await hasUsers(db, tenant)) refuse(`There are no users of tenant ${tenant}.`)
  if (fieldsBelow(change, config.POLICY_FLOOR ?? null).length > 0) refuse('The deployment asks more: POLICY_FLOOR.')
  const result = await settlePolicy(db, { tenant, expected: null, change, reason, by: OPERATOR })
  const { from, policy } = result as Extract<typeof result, { outcome: 'changed' }>
  const isChanged = policy.version !== from
  return {
    result: { outcome: isChanged ? 'changed' : 'unchanged', tenant, policy },
    text: change.phishingResistant === undefined
      ? `The policy of ${tenant} ${isChanged ? 'is' : 'already was'} ${policy.enforcement}.`
      : `The policy of ${tenant} is ${policy.enforcement}, and requires no passkeys.`
  }
}
