// The guide of an application's second factor, walked by people in a browser: sign in, set up, lose the phone, be required.
import t from 'tap'
import type { Page } from 'playwright-core'
import { faults, stage } from './browser.ts'

const { visitor, scan, code, advance } = await stage(t)

const heading = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor()
const click = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name }).click()

async function signIn (page: Page, name: string, password: string): Promise<void> {
  await page.goto('/sign-in')
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(password)
  await page.getByLabel('Password').press('Enter')
}

t.test('Bob turns it on, saves his codes, logs out, and is asked for a code at the next log-in', async t => {
  const { page } = await visitor()
  await signIn(page, 'bob', 'wrong')
  await page.getByText('That name and password do not belong together.').waitFor()
  t.same(await faults(page), [])
  await signIn(page, 'bob', 'bob at his desk')
  await heading(page, 'Hello, bob')
  t.same(await faults(page), [])
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByRole('link', { name: 'Security' }).click()
  await page.getByRole('link', { name: 'Enable two-factor authentication' }).click()
  await page.getByLabel('What do you call this device?').fill('My phone')
  t.same(await faults(page), [])
  await click(page, 'Continue')
  const secret = await scan(page)
  t.equal((await page.locator('.secret').innerText()).replaceAll(' ', ''), secret, 'the key to type is the one in the QR code')
  t.same(await faults(page), [])
  await page.getByLabel('The six digits that the app shows').fill(code(secret))
  await heading(page, 'Save your recovery codes')
  t.equal(await page.locator('.codes li').count(), 10)
  t.same(await faults(page), [])
  t.ok(await page.getByRole('button', { name: 'Done' }).isDisabled(), 'not before he says that they are saved')
  await page.getByLabel('I saved them in a safe place').check()
  await click(page, 'Done')
  await heading(page, 'Security')
  await page.getByText('10 of 10 recovery codes are left.').waitFor()
  t.same(await faults(page), [])

  await click(page, 'Log out')
  await heading(page, 'Sign in')
  await page.goto('/app/')
  t.match(page.url(), /\/sign-in\?return_to=/, 'the gateway leads to the log-in page')
  await signIn(page, 'bob', 'bob at his desk')
  await heading(page, 'Enter your code')
  await page.goto('/app/')
  await heading(page, 'Enter your code')
  t.match(page.url(), /\/second-factor\/code\?return_to=/, 'the gateway lets him nowhere else')
  t.same(await faults(page), [])
  advance(30)
  // As people paste it.
  await page.getByLabel('Six-digit code').fill(code(secret).replace(/^(...)/, '$1 '))
  await heading(page, 'Hello, bob')
  await page.context().close()
})
