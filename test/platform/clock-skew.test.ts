import t from 'tap'
import { ClockSkew } from '../../src/platform/clock-skew.ts'

t.test('what a slow answer alone explains is no wrong clock', t => {
  const skew = new ClockSkew()
  t.equal(skew.measure(60_000, 120_000), undefined)
  t.equal(skew.seconds, 0)
  t.equal(skew.measure(-60_000, 20_000), 'refusing')
  t.equal(skew.seconds, -50, 'behind is negative')
  t.end()
})

t.test('each change is told once, and one that stays near five seconds does not fill the log', t => {
  const skew = new ClockSkew()
  const told = [4.9, 5.1, 4.9, 4.1, 5.1, 44, 46, -46, 44, 3.9, 0].map(seconds => skew.measure(seconds * 1000, 0))
  t.same(told, [undefined, 'off', undefined, undefined, undefined, undefined, 'refusing', undefined, 'off', 'healed', undefined])
  t.end()
})
