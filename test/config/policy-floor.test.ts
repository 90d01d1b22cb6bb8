import t from 'tap'
import { parsePolicyFloor } from '../../src/config/policy-floor.ts'

t.test('a floor is read as it is written', async t => {
  t.same(parsePolicyFloor('POLICY_FLOOR', '{}'), {})
  t.same(parsePolicyFloor('POLICY_FLOOR', '{"enforceFrom":null,"groups":null}'), { enforceFrom: null, groups: null })
  const floor = {
    enforcement: 'required',
    groups: ['a', 'x'.repeat(512)],
    gracePeriodDays: 7,
    ssoRule: 'none',
    trustedDeviceDays: 0,
    maxExemptionDays: 0
  }
  const times = { enforceFrom: '2027-01-01T02:00:00+02:00', phishingResistantFrom: '2027-02-01T00:00:00Z' }
  t.same(parsePolicyFloor('POLICY_FLOOR', JSON.stringify({ ...floor, phishingResistant: 'administrators', ...times })), {
    ...floor,
    phishingResistant: 'administrators',
    enforceFrom: new Date('2027-01-01T00:00:00Z'),
    phishingResistantFrom: new Date('2027-02-01T00:00:00Z')
  })
  t.same(parsePolicyFloor('POLICY_FLOOR', '{"phishingResistantFrom":null}'), { phishingResistantFrom: null })
})

t.test('anything else stops the start, and the value is not repeated', async t => {
  for (
    const wrong of [
      '',
      'required',
      '[]',
      'null',
      '1',
      '"required"',
      '{"enforcement":"on"}',
      '{"enforcement":null}',
      '{"groups":[]}',
      '{"groups":[""]}',
      '{"groups":"a"}',
      '{"groups":[1]}',
      `{"groups":["${'x'.repeat(513)}"]}`,
      '{"groups":["a\\u0000"]}',
      '{"groups":["\\ud800"]}',
      '{"gracePeriodDays":-1}',
      '{"gracePeriodDays":366}',
      '{"gracePeriodDays":"7"}',
      '{"enforceFrom":"2027-01-01"}',
      '{"enforceFrom":"2027-13-01T00:00:00Z"}',
      '{"enforceFrom":5}',
      '{"ssoRule":"all"}',
      '{"phishingResistant":true}',
      '{"phishingResistant":"on"}',
      '{"phishingResistantFrom":"2027-01-01"}',
      '{"trustedDeviceDays":31}',
      '{"trustedDeviceDays":-1}',
      '{"maxExemptionDays":1.5}',
      '{"secretive":1}', '{"__proto__":1}', '{"toString":1}', '{"version":1}']) {
    t.throws(() => parsePolicyFloor('POLICY_FLOOR', wrong), { name: 'ConfigError', message: /^POLICY_FLOOR (is not|has a)/ }, wrong)
    try { parsePolicyFloor('POLICY_FLOOR', wrong) } catch (error) { t.notMatch((error as Error).message, /secretive|toString|2027/) }
  }
})
