import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { OPERATOR } from '../audit/record.sql.ts'
import { type Config, readConfig } from '../config/config.ts'
import { DATA_DIR } from '../config/development.ts'
import { variableOf } from '../config/keys.ts'
import { keySet } from '../config/secrets.ts'
import { variables } from '../config/variables.ts'
import { findKeyStates, findKeyUses, forgetKey, type KeyUse } from '../keys/keys.sql.ts'
import { markKeys, type Purpose } from '../keys/keys.ts'
import { resealAll } from '../keys/reseal.sql.ts'
import { decideRetire, decideRotate, type KeyState } from '../keys/rotation.ts'
import { connect, type Database } from '../platform/db/client.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'
import { entriesOf, type Entry, makeEntry, readKeyFile, replaceKeyFile, textOf } from './key-text.ts'
import { parsed, Refusal } from './options.ts'

export const USAGE = `npm run keys -- COMMAND      (in the image: node dist/cli/keys.js)

  status               which keys there are, what needs them, and what to do next
  add PURPOSE          makes a new key, behind the others, so that every replica learns it
  rotate PURPOSE       puts the new key first; for sealing, seals with it what older keys have sealed
  retire PURPOSE ID    removes a key that nothing needs
  forget PURPOSE ID    for a key that is lost for good: the service then starts without it

  PURPOSE   sealing (MFA_ENCRYPTION_KEYS), pepper (MFA_PEPPERS) or signing (MFA_SIGNING_KEYS)
  --print   prints the new value; without it the file of NAME_FILE is written, if there is one

Run it with the service's environment. docs/keys.md has the order, and what each key is for.

Exits with 0 when it is done, 1 if it is not (it is too early, or something still needs the key), 2 for a wrong call.`

const PURPOSES = ['sealing', 'pepper', 'signing'] as const

export interface Terminal {
  env: Record<string, string | undefined>
  /** The answer: a report, or a value that is printed. */
  say: (line: string) => void
  /** What is no part of it. */
  note: (line: string) => void
}

/** How long `rotate` waits for the replicas that seal with the older key still. */
const PATIENCE_SECONDS = 60

/** @throws with a line that says what is wrong, and what to do about it */
export async function keysCommand (args: string[], terminal: Terminal): Promise<void> {
  const { values: { print = false, help = false }, positionals: [command, purpose, id, ...more] } = parsed(USAGE, () => parse(args))
  if (help) return terminal.say(USAGE)
  const isOfPurpose = PURPOSES.some(each => each === purpose)
  if (command === 'status' && purpose === undefined) return await withDatabase(terminal, status)
  if (command === 'add' && isOfPurpose && id === undefined) return add(terminal, purpose as Purpose, print)
  if (command === 'rotate' && isOfPurpose && id === undefined) {
    return await withDatabase(terminal, site =>
      rotate(site, purpose as Purpose, print))
  }
  if (command === 'retire' && isOfPurpose && id !== undefined && more.length === 0) {
    return await withDatabase(terminal, site =>
      retire(site, purpose as Purpose, id, print))
  }
  if (command === 'forget' && isOfPurpose && id !== undefined && more.length === 0) {
    return await withDatabase(terminal, site =>
      forget(site, purpose as Purpose, id))
  }
  throw new Refusal(`${wrongWith(command, purpose)}\n\n${USAGE}`, 2)
}

const parse = (args: string[]) =>
  parseArgs({ args, allowPositionals: true, options: { print: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } })

const COMMANDS = ['status', 'add', 'rotate', 'retire', 'forget']

function wrongWith (command: string | undefined, purpose: string | undefined): string {
  if (command === undefined) return 'Which command?'
  if (!COMMANDS.includes(command)) return `There is no command ${JSON.stringify(command)}.`
  if (command === 'status') return 'status takes nothing else.'
  return PURPOSES.some(each => each === purpose)
    ? `${command} takes ${command === 'add' || command === 'rotate' ? 'a purpose alone' : 'a purpose and one id'}.`
    : `${command} needs a purpose: ${PURPOSES.join(', ')}.`
}

/** A terminal beside a database and what is configured. */
interface Site extends Terminal { db: Database, config: Config }

async function withDatabase (terminal: Terminal, work: (site: Site) => Promise<void>): Promise<void> {
  const config = readConfig(terminal.env)
  const embedded = config.DATABASE_URL === undefined ? await startEmbedded({ dataDir: DATA_DIR, log: terminal.note }) : undefined
  const db = connect(config.DATABASE_URL ?? embedded?.url as string, 2)
  try {
    await work({ ...terminal, db, config })
  } finally {
    await db.close()
    await embedded?.stop()
  }
}

const SIGNS: Record<Purpose, string> = { sealing: 'seals', pepper: 'hashes', signing: 'signs' }

async function status ({ db, config, say }: Site): Promise<void> {
  const [states, uses, marks] = [await findKeyStates(db), await findKeyUses(db), markKeys(keySet(config))]
  for (const purpose of PURPOSES) {
    const ids = marks.filter(mark => mark.purpose === purpose).map(mark => mark.id)
    const lost = [...new Set(uses.filter(use => use.purpose === purpose && !ids.includes(use.id)).map(use => use.id))]
    say(variableOf[purpose])
    for (const key of ids) say(`  ${key.padEnd(20)} ${(key === ids[0] ? SIGNS[purpose] : '').padEnd(7)} ${needs(uses, purpose, key)}`)
    for (const key of lost) say(`  ${key.padEnd(20)} MISSING ${needs(uses, purpose, key)}`)
    say(`  Next: ${next(purpose, ids, states, uses, lost)}`)
  }
}

const usesOf = (uses: KeyUse[], purpose: Purpose, id: string): KeyUse[] => uses.filter(use => use.purpose === purpose && use.id === id)
const rowsOf = (uses: KeyUse[], purpose: Purpose, id: string): number => usesOf(uses, purpose, id).reduce((sum, { rows }) => sum + rows, 0)
const needs = (uses: KeyUse[], purpose: Purpose, id: string): string =>
  usesOf(uses, purpose, id).map(({ what, rows }) => `${rows} ${what}`).join(', ') || 'nothing needs it'

function next (purpose: Purpose, ids: string[], states: KeyState[], uses: KeyUse[], lost: string[]): string {
  if (lost.length > 0) {
    return `put ${lost.join(', ')} back behind the others: ${
      purpose === 'signing' ? 'the audit does not verify' : 'the service does not start'
    } without it. If it is lost: docs/keys.md`
  }
  const decision = decideRotate(purpose, ids, states)
  if (decision.outcome === 'switch') return `npm run keys -- rotate ${purpose}`
  if (decision.outcome === 'wait') {
    return decision.seconds === null
      ? `a replica must read ${decision.id} first`
      : `rotate ${purpose}, in ${decision.seconds} s: until then a replica or client may not have ${decision.id}`
  }
  const older = ids.slice(1)
  const idle = older.find(id => decideRetire(purpose, id, ids, states, rowsOf(uses, purpose, id)).outcome === 'retire')
  if (idle !== undefined) return `npm run keys -- retire ${purpose} ${idle}`
  if (older.length === 0) return `nothing. To rotate: npm run keys -- add ${purpose}`
  if (older.every(id => rowsOf(uses, purpose, id) === 0)) return `nothing yet: ${older.join(', ')} may be in use still`
  return {
    sealing: 'npm run keys -- rotate sealing, to seal the rest with the first key',
    pepper: 'keep the older one: a code can\'t be hashed again without knowing it. Users who make new codes no longer need it',
    signing: 'nothing: within a minute the service signs the checkpoints again'
  }[purpose]
}

const sourceOf = ({ env }: Terminal, purpose: Purpose): { path: string | undefined, text: string | undefined } => {
  const path = env[`${variableOf[purpose]}_FILE`]
  return { path, text: path === undefined ? env[variableOf[purpose]] : readKeyFile(path) }
}

/** Writes the new value where the service reads it, or prints it. Answers whether it was written. */
function put (terminal: Terminal, purpose: Purpose, entries: Entry[], isPrinted: boolean): boolean {
  const { path, text: old } = sourceOf(terminal, purpose)
  const text = textOf(purpose, entries)
  variables[variableOf[purpose]].read(variableOf[purpose], text)
  if (path === undefined || isPrinted) {
    terminal.say(path === undefined ? `${variableOf[purpose]}=${text}` : text)
    return false
  }
  replaceKeyFile(path, text, old === undefined)
  return true
}

function add (terminal: Terminal, purpose: Purpose, isPrinted: boolean): void {
  const { text } = sourceOf(terminal, purpose)
  const entries = text === undefined ? [] : entriesOf(purpose, text)
  const made = makeEntry(purpose, new Date(), entries[0])
  const isWritten = put(terminal, purpose, [...entries, made], isPrinted)
  terminal.note(
    `${made.id} ${isWritten ? 'was added' : 'is made: give the value above to every replica'}.${
      entries.length > 0 ? ` Then: npm run keys -- rotate ${purpose}` : ''
    }`
  )
}

async function rotate (site: Site, purpose: Purpose, isPrinted: boolean): Promise<void> {
  const { db, note } = site
  const entries = entriesOf(purpose, sourceOf(site, purpose).text as string)
  const decision = decideRotate(purpose, entries.map(({ id }) => id), await findKeyStates(db))
  if (decision.outcome === 'wait') {
    throw new Error(decision.seconds === null
      ? `${decision.id} is not known to any replica yet: give it to all of them, and do this again half a minute later.`
      : `Not every replica or client can have ${decision.id} yet: do this again in ${decision.seconds} seconds.`)
  }
  if (decision.outcome === 'switch') {
    const isWritten = put(site, purpose, [
      ...entries.filter(({ id }) => id === decision.id),
      ...entries.filter(({ id }) => id !== decision.id)
    ], isPrinted)
    note(`${decision.id} is first${isWritten ? '' : ' in the value above: give it to every replica'}.`)
    if (!isWritten) {
      return note(purpose === 'sealing' ? 'Then do this again, with the new value: it seals what older keys have sealed.' : '')
    }
  }
  if (purpose === 'sealing') await reseal({ ...site, config: readConfig(site.env) })
  else if (decision.outcome === 'none') note('There is no newer key that was not in use yet: npm run keys -- add makes one.')
}

/** Until no row is of an older key, and no replica makes such rows any more. */
async function reseal ({ db, config: { MFA_ENCRYPTION_KEYS: ring }, say, note }: Site): Promise<void> {
  const start = performance.now()
  let total = 0
  let unreadable = new Set<string>()
  for (;;) {
    unreadable = new Set()
    for await (const batch of resealAll(db, ring, OPERATOR)) {
      total += batch.resealed
      for (const id of batch.unreadable) unreadable.add(id)
    }
    const late = (await findKeyStates(db)).filter(({ purpose, id, firstAge }) =>
      purpose === 'sealing' && id !== ring.primary && firstAge !== null && firstAge < 15
    )
    if (late.length === 0) break
    if (performance.now() - start > PATIENCE_SECONDS * 1000) {
      note(`A replica seals with ${late.map(({ id }) => id).join(', ')} still: do this again when it has read the new value.`)
      break
    }
    await sleep(2000)
  }
  say(`${total} rows were sealed with ${ring.primary}.`)
  if (unreadable.size > 0) {
    throw new Error(`These authenticators do not open and stay as they are: ${[...unreadable].join(', ')}. Their owners must be reset.`)
  }
}

async function retire (site: Site, purpose: Purpose, id: string, isPrinted: boolean): Promise<void> {
  const entries = entriesOf(purpose, sourceOf(site, purpose).text as string)
  const ids = entries.map(entry => entry.id)
  const [uses, states] = [await findKeyUses(site.db), await findKeyStates(site.db)]
  const decision = decideRetire(purpose, id, ids, states, rowsOf(uses, purpose, id))
  if (decision.outcome === 'wait') throw new Error(`${id} may be in use still: do this again in ${decision.seconds} seconds.`)
  if (decision.outcome !== 'retire') {
    throw new Error({
      unknown: `${variableOf[purpose]} has no key ${id}.`,
      first: `${id} is the first key: npm run keys -- add ${purpose}, and rotate.`,
      needed: `${id} is needed: ${needs(uses, purpose, id)}. ${next(purpose, ids, states, uses, [])}.`
    }[decision.outcome])
  }
  const isWritten = put(site, purpose, entries.filter(entry => entry.id !== id), isPrinted)
  site.note(isWritten ? `${id} is gone.` : `${id} is not in the value above: give it to every replica.`)
}

async function forget (site: Site, purpose: Purpose, id: string): Promise<void> {
  if (entriesOf(purpose, sourceOf(site, purpose).text as string).some(entry => entry.id === id)) {
    throw new Error(`${variableOf[purpose]} has ${id}: it is not lost.`)
  }
  if (!await forgetKey(site.db, purpose, id)) throw new Error(`This database knows no key ${id} that could be lost.`)
  site.note(`${id} is lost. What it sealed or hashed never opens again: docs/keys.md.`)
}
