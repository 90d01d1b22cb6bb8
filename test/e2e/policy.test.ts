import { readFileSync } from 'node:fs'
import t from 'tap'
import { paste, startAsNewcomer } from '../helpers/started.ts'

t.test('the policy\'s story in examples/policy.md runs as it stands, and prints what it says', { timeout: 110_000 }, async t => {
  const { origin } = await startAsNewcomer(t)
  const script = [...readFileSync('examples/policy.md', 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n')
  const expected = [...script.matchAll(/^# → (.*)$/gm)].map(([, line]) => line)
  t.ok(expected.length > 20)
  t.same((await paste(script, origin)).split('\n'), expected)
})
