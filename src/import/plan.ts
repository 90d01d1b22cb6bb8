import { createHash } from 'node:crypto'
import { Value } from 'typebox/value'
import { AUTHENTICATOR, MAX_GUESSABLE, nextLabel } from '../factors/labels.ts'
import { Label } from '../http/schema.ts'
import { type Found, type Identity, ImportError, type Reason } from './found.ts'

export interface PlannedFactor {
  row: string
  id: string
  label: string
  secret: Buffer
  /** Rows that have the same secret once more. */
  repeatedIn: string[]
}

/** A user, and all that the file has of them that can be brought. */
export interface PlannedUser { subject: string, account: string, factors: PlannedFactor[] }

export interface LeftBehind { row: string, subject: string | undefined, reason: Reason }

export interface Plan { users: PlannedUser[], left: LeftBehind[] }

export interface Target {
  /** The other system. */
  source: string
  tenant: string
  namespace: string
  /** Which of the names there is the `sub` of our tokens. */
  subject: keyof Identity
}

/**
 * Who gets what. Says nothing of who is here already.
 * @param issuer of an app's accounts, ours
 */
export function planImport (found: readonly Found[], target: Target, issuer?: string): Plan {
  const issuers = new Set(found.map(each => each.issuer))
  if (issuer === undefined && issuers.size > 1) {
    throw new ImportError('The file has accounts of several issuers: say by --issuer which of them is yours.')
  }
  const named = found.map(each => ({ each, subject: subjectOf(each, target) }))
  const ofOne = named.filter(({ each }) => issuer === undefined || each.issuer === issuer)
  const ids = collect(ofOne.map(({ each, subject }) => [subject, each.id]))
  const owners = collect(ofOne.map(({ each: { content }, subject }) => ['secret' in content ? keyOf(content.secret) : undefined, subject]))
  const users = new Map<string, PlannedUser>()
  const left: LeftBehind[] = []

  const place = (each: Found, subject: string | undefined): Reason | undefined => {
    const { row, content } = each
    if (issuer !== undefined && each.issuer !== issuer) return 'other_issuer'
    if ('reason' in content) return content.reason
    if (subject === undefined) return 'no_subject'
    // Two users there who would be one here, or two who have one secret: whose it is, the file does not say.
    if ((ids.get(subject)?.size ?? 0) > 1) return 'ambiguous_subject'
    const key = keyOf(content.secret)
    if ((owners.get(key) as Set<string>).size > 1) return 'shared_secret'
    const user = users.get(subject) ?? { subject, account: accountOf(each, subject), factors: [] }
    const same = user.factors.find(({ secret }) => keyOf(secret) === key)
    if (same !== undefined) {
      same.repeatedIn.push(row)
      return undefined
    }
    if (user.factors.length >= MAX_GUESSABLE) return 'too_many_factors'
    users.set(subject, user)
    const id = idOf(target, subject, each.key ?? `#${user.factors.length + 1}`)
    user.factors.push({ row, id, label: labelOf(each.label, user.factors), secret: content.secret, repeatedIn: [] })
    return undefined
  }
  for (const { each, subject } of named) {
    const reason = place(each, subject)
    if (reason !== undefined) left.push({ row: each.row, subject, reason })
  }
  return { users: [...users.values()], left }
}

/** All values of each key, where both are known. */
function collect (pairs: Array<[string | undefined, string | undefined]>): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>()
  for (const [key, value] of pairs) if (key !== undefined && value !== undefined) all.set(key, (all.get(key) ?? new Set()).add(value))
  return all
}

/** What HMAC makes of a secret (RFC 2104 §2): two that are the same there give the same codes. */
function keyOf (secret: Buffer): string {
  const key = secret.length > 64 ? createHash('sha1').update(secret).digest() : secret
  return key.toString('hex').replace(/(00)+$/, '')
}

/** As a token may name a user. What another program could not read is no name. */
const isName = (name: string): boolean => name !== '' && name.length <= 255 && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\uFFFD]/u.test(name)

function subjectOf (who: Identity, { subject }: Target): string | undefined {
  const name = who[subject]
  return name !== undefined && isName(name) ? name : undefined
}

const accountOf = ({ username, email }: Identity, subject: string): string =>
  [username, email].find(name => name !== undefined && isName(name)) ?? subject

/** The same each time, so that each comes once; of no secret. A UUID of version 8 (RFC 9562 §5.8). */
function idOf ({ source, tenant, namespace }: Target, subject: string, key: string): string {
  const hash = createHash('sha256').update(JSON.stringify([source, tenant, namespace, subject, key])).digest()
  hash[6] = ((hash[6] as number) & 0x0f) | 0x80
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Their own, where it is one that could be given here. */
function labelOf (label: string | undefined, others: Array<{ label: string }>): string {
  const own = label?.trim().normalize('NFC')
  return own !== undefined && Value.Check(Label, own) && others.every(other => other.label !== own) ? own : nextLabel(others, AUTHENTICATOR)
}
