import t from 'tap'
import { Faults } from '../../src/config/faults.ts'

t.test('what is no fault of the configuration is not taken for one', async t => {
  const faults = new Faults()
  t.throws(() => faults.try(() => { throw new TypeError('ours') }), new TypeError('ours'))
  faults.throwAny()
})
