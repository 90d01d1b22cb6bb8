import t from 'tap'
import { wholePerson } from '../src/gate.ts'
import { somebody } from './helpers/people.ts'

t.test('who was not read whole is not taken for somebody without recovery codes', t => {
  const { pending, recovery, ...lean } = somebody()
  t.throws(() => wholePerson({ person: lean }))
  t.same(wholePerson({ person: somebody() }), somebody())
  t.end()
})
