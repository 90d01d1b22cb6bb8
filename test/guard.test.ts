import t from 'tap'
import { wholeUser } from '../src/guard.ts'
import { somebody } from './helpers/snapshot.ts'

t.test('who was not read whole is not taken for somebody without recovery codes', t => {
  const { pending, recovery, ...lean } = somebody()
  t.throws(() => wholeUser({ storedUser: lean }))
  t.same(wholeUser({ storedUser: somebody() }), somebody())
  t.end()
})
