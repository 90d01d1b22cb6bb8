import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, chromium, type Page } from 'playwright-core'
import t from 'tap'
import { administrator } from '../helpers/administrator.ts'
import { startService } from '../helpers/service.ts'

// The console in Debian's Chromium: what an administrator does at night, without curl.

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

let browser: Browser
t.before(async () => { browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS }) })
t.teardown(async () => { await browser.close() })

/** The console in a window of its own. `wrong` is what its policy forbade, what it asked of others, and its errors. */
async function openConsole (t: Parameters<typeof startService>[0], url: string): Promise<{ page: Page, wrong: string[] }> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  const wrong: string[] = []
  page.on('request', request => { if (!/^data:/.test(request.url()) && new URL(request.url()).origin !== url) wrong.push(request.url()) })
  page.on('console', message => { if (message.type() === 'error') wrong.push(message.text()) })
  page.on('pageerror', error => { wrong.push(error.message) })
  await page.goto(`${url}/docs/`)
  await page.locator('.opblock').first().waitFor()
  return { page, wrong }
}

async function authorize (page: Page, token: string): Promise<void> {
  await page.locator('.scheme-container .authorize').click()
  await page.locator('.dialog-ux input').fill(token)
  await page.locator('.dialog-ux button[type=submit]').click()
  await page.locator('.dialog-ux .btn-done').click()
}

/** Opens an operation, fills in what is given and leaves the rest as it is; the answer, once the console shows it. */
async function tryOut (
  page: Page,
  operationId: string,
  parameters: Record<string, string> = {},
  body?: object
): Promise<{ status: number, body: any }> {
  const operation = page.locator(`.opblock[id$="-${operationId}"]`)
  await operation.locator('.opblock-summary-control').click()
  for (const [name, value] of Object.entries(parameters)) await operation.locator(`tr[data-param-name="${name}"] input`).fill(value)
  if (body !== undefined) await operation.locator('textarea').first().fill(JSON.stringify(body))
  const [response] = await Promise.all([
    page.waitForResponse(response => !response.url().includes('/docs/')),
    operation.locator('.execute').click()
  ])
  const status = response.status()
  await operation.locator('.live-responses-table .response-col_status', { hasText: String(status) }).first().waitFor()
  return { status, body: status === 204 ? undefined : await response.json() }
}

/** What hinders users a lot, by axe. */
async function hindrances (page: Page, part: string): Promise<string[]> {
  await page.evaluate(AXE)
  return await page.evaluate(async part => {
    const { violations } = await (globalThis as any).axe.run(part, { resultTypes: ['violations'] })
    const found = violations
      .filter(({ impact }: any) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }: any) =>
        nodes.map(({ html, any }: any) => `${id as string} ${JSON.stringify(any[0]?.data)} ${(html as string).slice(0, 120)}`)
      )
    return [...new Set<string>(found)]
  }, part)
}

t.test('an administrator reads the policy, turns the flag, finds a user, resets them and sees the audit', async t => {
  const service = await startService(t, { DOCS: 'true', ADMIN_PORT: '0' })
  const { token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { page, wrong } = await openConsole(t, await service.app.listenAdmin('127.0.0.1', 0))
  await page.locator('.scheme-container .authorize').click()
  t.same(await hindrances(page, '.dialog-ux'), [], 'nothing hinders who authorizes')
  await page.locator('.dialog-ux .btn-done').click()
  await authorize(page, token)

  t.match(await tryOut(page, 'getPolicy'), { status: 200, body: { enforcement: 'optional' } })
  t.match(
    await tryOut(page, 'setPolicy'),
    { status: 200, body: { enforcement: 'report_only' } },
    'what is filled in asks nothing of anyone'
  )
  t.match(await tryOut(page, 'listUsers', { subject: user.sub }), { status: 200, body: { items: [{ userId: id, enrolled: true }] } })
  t.match(
    await tryOut(page, 'unlockUser', { userId: id }),
    { status: 400, body: { errors: [{ field: 'reason' }] } },
    'no reason is filled in for the audit'
  )
  t.match(wrong.splice(0), [/status of 400/], 'as a browser says it')
  t.match(await tryOut(page, 'resetUser', { userId: id }, { reason: 'Called back, ticket 4712' }), { status: 204 })
  const { body: { items } } = await tryOut(page, 'listAuditEvents')
  t.match(items.find(({ action }: any) => action === 'user.reset'), {
    action: 'user.reset',
    userId: id,
    details: { reason: 'Called back, ticket 4712' }
  }, 'no filter is filled in')

  t.same(await hindrances(page, '#swagger-ui'), [])
  t.same(wrong, [], 'nothing from elsewhere, and the policy for content holds')
})

t.test('beside a second listener, the console of the first has what answers there', async t => {
  const service = await startService(t, { DOCS: 'true', ADMIN_PORT: '0' })
  const { page, wrong } = await openConsole(t, service.url)
  const user = service.user()
  await authorize(page, user.token())
  t.match(await tryOut(page, 'startEnrollment'), { status: 201, body: { secret: String } })
  t.match(await tryOut(page, 'getStatus'), { status: 200, body: { subject: user.sub } })
  t.equal(await page.locator('.opblock[id*="Policy"], .opblock[id*="Users"], .opblock[id$="-getMetrics"]').count(), 0)
  t.same(wrong, [])
})
