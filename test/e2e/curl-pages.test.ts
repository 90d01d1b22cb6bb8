// The commands of the administrators' pages, each as it stands, on a service of npm start.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { paste, startAsNewcomer } from '../helpers/started.ts'

/** What a page takes for given: the address, an administrator's token, and a user. */
const given = (origin: string): string => `
URL=${origin}; TENANT=pages-$(date +%s%N)
field() { node -pe "JSON.parse(require('fs').readFileSync(0)).$1"; }
login() { npm run --silent token -- --tenant $TENANT --sub "$@"; }
post() { curl -sf -X POST "$URL$1" -H "Authorization: Bearer $2" -H 'Content-Type: application/json' -d "$3"; }
LOGIN=$(login alice --roles mfa:admin)
STARTED=$(post /mfa/enroll $LOGIN '{}')
CODE=$(npm run --silent code -- $(echo "$STARTED" | field secret))
MFA_TOKEN=$(post /mfa/enroll/confirm $LOGIN "{\\"factorId\\":\\"$(echo "$STARTED" | field factorId)\\",\\"code\\":\\"$CODE\\"}" | field token)
MACHINE_TOKEN=$MFA_TOKEN
ID=$(curl -sf $URL/mfa/status -H "Authorization: Bearer $(login bob)" | field userId)
`

t.test('what docs/users.md, docs/audit.md and docs/policy.md say to an administrator works as it stands', { timeout: 300_000 }, async t => {
  const { origin } = await startAsNewcomer(t)
  const folder = t.testdir()
  for (const [page, least] of [['docs/users.md', 4], ['docs/audit.md', 3], ['docs/policy.md', 2]] as const) {
    const commands = [...readFileSync(page, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n')
      .replaceAll('curl -s ', 'curl -sf ') // a refusal is a failure here
      .replaceAll(/> (\w+\.ndjson)/g, `> ${folder}/$1`)
      .replaceAll(/"until": "[^"]*"/g, `"until": "${new Date(Date.now() + 86_400_000).toISOString()}"`)
    t.ok(commands.split('curl -sf ').length > least, page)
    await t.resolves(paste(`${given(origin)}\n${commands}`, origin), page)
  }
})

/** The last command of a page's `sh` blocks: what is pasted when something does not work. */
const lastBlock = (page: string): string => [...readFileSync(page, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].at(-1)?.[1] as string

t.test('the commands for when something does not work answer what their pages say', { timeout: 300_000 }, async t => {
  const { origin } = await startAsNewcomer(t)
  const ask = (commands: string): Promise<string> => paste(`${given(origin)}\nTOKEN=$(login bob); USER_ID=$ID\n${commands}`, origin)

  t.match(await ask(lastBlock('docs/gateways.md')), /HTTP\/1\.1 200 [^]*x-mfa-subject: bob\b/i, 'a token that may pass')
  t.match(await ask(lastBlock('docs/troubleshooting.md')), /^\{"items":\[\]/, 'a user without a refused code')
  const told = await ask(lastBlock('docs/webhooks.md').replace('" -H "Auth', '" -w "\\n" -H "Auth'))
  t.match(told, /^\{"items":\[\][^]*"code":"not_found"/, 'nothing is left to deliver, and a user\'s id is none of an event')
})

t.test('docs/issuers.md checks a token against a file of variables, which accepts it', { timeout: 300_000 }, async t => {
  const folder = t.testdir()
  const { developmentEnvironment } = await import('../../src/config/development.ts')
  const env = Object.entries(developmentEnvironment({})).filter(([name]) => /^(JWT_(ISSUER|AUDIENCE|SECRET)|MFA_(ISSUER|AUDIENCE))$/.test(name))
  const [variables, token] = ['production.env', 'token.txt'].map(name => join(folder, name)) as [string, string]
  writeFileSync(variables, env.map(([name, value]) => `${name}=${value as string}\n`).join(''))
  const command = lastBlock('docs/issuers.md').replace('production.env', variables).replace('token.txt', token)
  const said = await paste(`npm run --silent token -- --sub bob > ${token}\n${command}`, '')
  t.match(said, /✓[^]*The service accepts it/)
})
