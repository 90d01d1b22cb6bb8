import type { Caller } from './caller.ts'
import type { Person } from './person.ts'
import { decide, type Decision, type DecisionSettings, firstGraceDays } from './policy.ts'

/** What a call saw in somebody for the first time and is to be recorded, each part once. */
export interface Note {
  /** The days of his deadline, from the database's now. */
  graceDays: number | null
  /** What a report-only policy would ask, once for each version of it. */
  wouldBe: Decision['wouldBe'] | null
  isAdministrator: boolean
}

/** Null, and it costs nothing, where all is known. Only a login meets a policy: an MFA token comes after one. */
export function noteOf (person: Person, caller: Caller, now: Date, settings: DecisionSettings): Note | null {
  if (person.isDisabled) return null
  const graceDays = caller.word === undefined ? null : firstGraceDays(person, caller, now, settings)
  const isReported = person.reportedVersion === person.policy.version
  const wouldBe = (isReported ? undefined : decide(person, caller, now, settings).wouldBe) ?? null
  const isAdministrator = !person.isAdministrator && caller.roles.some(role => role.startsWith('mfa:'))
  return graceDays === null && wouldBe === null && !isAdministrator ? null : { graceDays, wouldBe, isAdministrator }
}
