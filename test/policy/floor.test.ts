import t from 'tap'
import { fieldsBelow, type Floor, type PolicyFields, stricter } from '../../src/policy/floor.ts'
import type { Decision } from '../../src/policy/policy.ts'

const early = new Date('2026-01-01T00:00:00Z')
const late = new Date('2027-01-01T00:00:00Z')

t.test('a change is below the floor where a field of it asks less', async t => {
  const table: Array<[Partial<PolicyFields>, Floor | null, string[]]> = [
    [{ enforcement: 'optional' }, null, []],
    [{ enforcement: 'optional' }, {}, []],
    [{ enforcement: 'optional' }, { maxExemptionDays: 1 }, []],
    [{ enforcement: 'optional' }, { enforcement: 'report_only' }, ['enforcement']],
    [{ enforcement: 'report_only' }, { enforcement: 'report_only' }, []],
    [{ enforcement: 'report_only' }, { enforcement: 'required' }, ['enforcement']],
    [{ enforcement: 'required' }, { enforcement: 'optional' }, []],
    [{ groups: null }, { groups: ['a'] }, []],
    [{ groups: null }, { groups: null }, []],
    [{ groups: ['a'] }, { groups: null }, ['groups']],
    [{ groups: ['a', 'b'] }, { groups: ['b'] }, []],
    [{ groups: ['a'] }, { groups: ['a', 'b'] }, ['groups']],
    [{ groups: ['a'] }, { enforcement: 'required' }, []],
    [{ gracePeriodDays: 7 }, { gracePeriodDays: 7 }, []],
    [{ gracePeriodDays: 8 }, { gracePeriodDays: 7 }, ['gracePeriodDays']],
    [{ enforceFrom: null }, { enforceFrom: null }, []],
    [{ enforceFrom: null }, { enforceFrom: early }, []],
    [{ enforceFrom: early }, { enforceFrom: late }, []],
    [{ enforceFrom: late }, { enforceFrom: early }, ['enforceFrom']],
    [{ enforceFrom: early }, { enforceFrom: null }, ['enforceFrom']],
    [{ ssoRule: 'exempt_sso_session' }, { ssoRule: 'exempt_sso_only' }, ['ssoRule']],
    [{ ssoRule: 'exempt_sso_only' }, { ssoRule: 'none' }, ['ssoRule']],
    [{ ssoRule: 'none' }, { ssoRule: 'exempt_sso_only' }, []],
    [{ phishingResistant: 'off' }, { phishingResistant: 'administrators' }, ['phishingResistant']],
    [{ phishingResistant: 'off' }, { phishingResistant: 'off' }, []],
    [{ phishingResistant: 'administrators' }, { phishingResistant: 'administrators' }, []],
    [{ phishingResistant: 'administrators' }, { phishingResistant: 'required' }, ['phishingResistant']],
    [{ phishingResistant: 'required' }, { phishingResistant: 'administrators' }, []],
    [{ phishingResistantFrom: late }, { phishingResistantFrom: early }, ['phishingResistantFrom']],
    [{ phishingResistantFrom: early }, { phishingResistantFrom: null }, ['phishingResistantFrom']],
    [{ phishingResistantFrom: null }, { phishingResistantFrom: early }, []],
    [{ phishingResistantFrom: late }, { enforceFrom: early }, []],
    // The floor binds the administrators by its own time; the others are the tenant's to give time to.
    [
      { phishingResistant: 'required', phishingResistantFrom: late },
      { phishingResistant: 'administrators', phishingResistantFrom: early },
      []
    ],
    [{ phishingResistant: 'required', phishingResistantFrom: late }, { phishingResistant: 'required', phishingResistantFrom: early }, [
      'phishingResistantFrom'
    ]],
    [{ trustedDeviceDays: 7 }, { trustedDeviceDays: 7 }, []],
    [{ trustedDeviceDays: 8 }, { trustedDeviceDays: 7 }, ['trustedDeviceDays']],
    [{ trustedDeviceDays: 30 }, { enforcement: 'required' }, []],
    [{ enforcement: 'optional', gracePeriodDays: 9 }, { enforcement: 'required', gracePeriodDays: 1, ssoRule: 'none' }, [
      'enforcement',
      'gracePeriodDays'
    ]]
  ]
  for (const [change, floor, below] of table) t.same(fieldsBelow(change, floor), below, JSON.stringify([change, floor]))
})

t.test('the stricter of two decisions, whichever comes first', async t => {
  const grace = (deadline: string): Decision => ({ action: 'allow', reason: 'grace', deadline })
  const report = (wouldBe: Decision): Decision => ({ action: 'allow', reason: 'report_only', wouldBe })
  const enroll: Decision = { action: 'enroll', reason: 'required_by_policy' }
  const byStrictness: Decision[] = [
    { action: 'allow', reason: 'not_required' },
    { action: 'allow', reason: 'exempt_sso' },
    { action: 'allow', reason: 'exempt_user' },
    report(grace('2027-01-02T00:00:00.000Z')),
    report(grace('2027-01-01T00:00:00.000Z')),
    report(enroll),
    grace('2027-01-02T00:00:00.000Z'),
    grace('2027-01-01T00:00:00.000Z'),
    enroll
  ]
  byStrictness.forEach((decision, index) => {
    t.same(stricter(decision, decision), decision)
    for (const other of byStrictness.slice(0, index)) {
      t.same(stricter(decision, other), decision)
      t.same(stricter(other, decision), decision)
    }
  })
})
