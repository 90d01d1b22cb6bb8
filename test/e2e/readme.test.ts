import { readFileSync } from 'node:fs'
import t from 'tap'
import { callTo } from '../helpers/service.ts'
import { paste, startAsNewcomer } from '../helpers/started.ts'

t.test('the README\'s walk works as it stands, on a service of npm start, and a second time', { timeout: 220_000 }, async t => {
  const { origin } = await startAsNewcomer(t)
  t.equal((await callTo(origin)('GET', '/health/ready')).status, 200)
  const walk = /<!-- walk:.*-->\n```sh\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))?.[1] as string
  for (let time = 0; time < 2; time++) {
    const lines = (await paste(walk, origin)).split('\n')
    t.equal(lines[0], '{"action":"allow","reason":"not_required"}')
    t.equal((JSON.parse(lines[1] as string) as string[]).length, 10)
    t.same(lines.slice(2), ['{"action":"allow","reason":"mfa_verified"}', '9', 'code_refused', 'required', '{"action":"enroll","reason":"required_by_policy"}'])
  }
})

t.test('the four lines of curl that a start prints work when pasted', { timeout: 60_000 }, async t => {
  const { origin, output } = await startAsNewcomer(t)
  const pasted = output().split('\n').filter(line => /^ {2}(TOKEN=|curl )/.test(line)).map(line => line.trim().replace('curl -s', 'curl -sf'))
  t.equal(pasted.length, 5)
  const printed = await paste(pasted.join('\necho\n'), origin)
  t.match(printed, /otpauth:\/\//)
  t.match(printed, /"keys":\[/)
})
