import { createHash } from 'node:crypto'
import { Value } from 'typebox/value'
import { MAX_FACTORS, nextLabel } from '../core/factors.ts'
import { Label } from '../mfa/schema.ts'
import type { Found, Identity, Reason } from './found.ts'

export interface PlannedFactor { row: string, id: string, label: string, secret: Buffer }

/** Somebody, and all that the file has of him that can be brought. */
export interface PlannedPerson { subject: string, account: string, factors: PlannedFactor[] }

export interface LeftBehind { row: string, subject: string | undefined, reason: Reason }

export interface Plan { people: PlannedPerson[], left: LeftBehind[] }

export interface Target {
  /** The other system. */
  source: string
  tenant: string
  namespace: string
  /** Which of the names there is the `sub` of our tokens. */
  subject: keyof Identity
}

/** Who gets what. Says nothing of who is here already. */
export function planImport (found: readonly Found[], target: Target): Plan {
  const people = new Map<string, PlannedPerson>()
  const left: LeftBehind[] = []
  for (const each of found) {
    const { row, content } = each
    const subject = subjectOf(each, target)
    const person = subject === undefined ? undefined : people.get(subject) ?? { subject, account: accountOf(each, subject), factors: [] }
    const reason = 'reason' in content ? content.reason : person === undefined ? 'no_subject' : person.factors.length >= MAX_FACTORS ? 'too_many_factors' : undefined
    if (reason !== undefined || person === undefined || 'reason' in content) {
      left.push({ row, subject, reason: reason as Reason })
      continue
    }
    people.set(person.subject, person)
    person.factors.push({ row, id: idOf(target, person.subject, each.key ?? row), label: labelOf(each.label, person.factors), secret: content.secret })
  }
  return { people: [...people.values()], left }
}

/** As a token may name somebody. */
const isName = (name: string): boolean => name !== '' && name.length <= 255 && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u.test(name)

function subjectOf (who: Identity, { subject }: Target): string | undefined {
  const name = who[subject]
  return name !== undefined && isName(name) ? name : undefined
}

const accountOf = ({ username, email }: Identity, subject: string): string => [username, email].find(name => name !== undefined && isName(name)) ?? subject

/** The same each time, so that each comes once; of no secret. A UUID of version 8 (RFC 9562 §5.8). */
function idOf ({ source, tenant, namespace }: Target, subject: string, key: string): string {
  const hash = createHash('sha256').update(JSON.stringify([source, tenant, namespace, subject, key])).digest()
  hash[6] = ((hash[6] as number) & 0x0f) | 0x80
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** His own, where it is one that could be given here. */
function labelOf (label: string | undefined, others: Array<{ label: string }>): string {
  const own = label?.trim().normalize('NFC')
  return own !== undefined && Value.Check(Label, own) && others.every(other => other.label !== own) ? own : nextLabel(others)
}
