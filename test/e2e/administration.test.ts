import { readFileSync } from 'node:fs'
import t from 'tap'
import { paste, startAsNewcomer } from '../helpers/started.ts'

t.test('docs/administration.md runs as it stands, and prints what it says', { timeout: 220_000 }, async t => {
  const { origin } = await startAsNewcomer(t)
  const script = [...readFileSync('docs/administration.md', 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n')
  const expected = [...script.matchAll(/^# → (.*)$/gm)].map(([, line]) => line)
  t.ok(expected.length > 12)
  t.same((await paste(script, origin)).replaceAll(/acme-\d+/g, 'acme-…').split('\n'), expected)
})
