import t from 'tap'
import { fragment, joined } from '../../src/db/fragment.ts'

t.test('values are parameters, and never text', async t => {
  const { text, values } = fragment`SELECT ${"'; DROP TABLE users; --"}::text, ${1}::int`
  t.equal(text, 'SELECT $1::text, $2::int')
  t.same(values, ["'; DROP TABLE users; --", 1])
  t.equal(fragment`SELECT 1`.text, 'SELECT 1')
})

t.test('those of parts are numbered where they stand, however deep', async t => {
  const part = fragment`b = ${'b'} AND ${fragment`c = ${'c'}`}`
  const { text, values } = fragment`SELECT ${'a'} WHERE ${part} ${fragment``} OR (${part}) LIMIT ${9}`
  t.equal(text, 'SELECT $1 WHERE b = $2 AND c = $3  OR (b = $4 AND c = $5) LIMIT $6')
  t.same(values, ['a', 'b', 'c', 'b', 'c', 9])
})

t.test('what is joined stands one after the other', async t => {
  const { text, values } = fragment`SELECT ${joined([fragment`true`, 7, fragment`x = ${8}`], ' AND ')}, ${joined([9])}, ${joined([1, 2])}`
  t.equal(text, 'SELECT true AND $1 AND x = $2, $3, $4,$5')
  t.same(values, [7, 8, 9, 1, 2])
})
