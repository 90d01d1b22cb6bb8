import t from 'tap'
import { wholeUser } from '../src/guard.ts'
import { aUser } from './helpers/snapshot.ts'

t.test('a user who was not read whole is not taken for one without recovery codes', t => {
  const { pending, recovery, ...lean } = aUser()
  t.throws(() => wholeUser({ storedUser: lean }))
  t.same(wholeUser({ storedUser: aUser() }), aUser())
  t.end()
})
