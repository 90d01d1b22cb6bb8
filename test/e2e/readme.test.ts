import { readFileSync } from 'node:fs'
import t from 'tap'
import { callTo, signToken } from '../helpers/service.ts'
import { paste, startAsNewcomer } from '../helpers/started.ts'

t.test(
  "the README's walk, and the longer one of docs/getting-started.md, work as they stand on a service of npm start, and a second time",
  { timeout: 400_000 },
  async t => {
    const { origin } = await startAsNewcomer(t)
    t.equal((await callTo(origin)('GET', '/health/ready')).status, 200)
    const walks = {
      'README.md': /<!-- walk:.*-->\n```sh\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))?.[1] as string,
      'docs/getting-started.md': [...readFileSync('docs/getting-started.md', 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) =>
        block
      ).join('\n')
    }
    for (const [page, walk] of Object.entries(walks)) {
      const expected = [...walk.matchAll(/^# → (.*)$/gm)].map(([, line]) => line)
      t.ok(expected.length >= 4, page)
      for (let time = 0; time < 2; time++) t.same((await paste(walk, origin)).split('\n'), expected, page)
    }
  })

t.test('a start prints whose tokens it takes, what its own say, and lines of curl that work when pasted', { timeout: 60_000 }, async t => {
  const { origin, output } = await startAsNewcomer(t)
  const line = (name: string): string => output().split('\n').find(line => line.startsWith(`  ${name}`)) ?? ''
  t.match(
    line('It takes'),
    /iss http:\/\/localhost\/development-issuer {3}aud headless-mfa {3}HS256, key JWT_SECRET of \.data\/keys\.json$/
  )
  const own = /iss (\S+) {3}aud (\S+)$/.exec(line('Its own tokens')) as unknown as [string, string, string]
  t.equal(own[1], origin)
  const { JWT_SECRET } = JSON.parse(readFileSync('.data/keys.json', 'utf8')) as { JWT_SECRET: string }
  const now = Math.floor(Date.now() / 1000)
  const token = signToken(
    { iss: 'http://localhost/development-issuer', aud: 'headless-mfa', sub: 'reader', auth_time: now, iat: now, exp: now + 60 },
    {},
    JWT_SECRET
  )
  t.equal((await callTo(origin)('GET', '/mfa/status', { token })).status, 200, 'what it says is enough to make a token')
  const pasted = output().split('\n').filter(line => /^ {2}(TOKEN=|curl )/.test(line)).map(line =>
    line.trim().replace('curl -s', 'curl -sf')
  )
  t.equal(pasted.length, 5)
  const printed = await paste(pasted.join('\necho\n'), origin)
  t.match(printed, /otpauth:\/\//)
  t.match(printed, /"keys":\[/)
})
