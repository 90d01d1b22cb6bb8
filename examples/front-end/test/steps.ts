// What a user does on the example's pages.
import type { Page } from 'playwright-core'
import type { Stage } from './browser.ts'

/** @throws an error that says what stands on the page instead */
export async function heading (page: Page, name: string | RegExp): Promise<void> {
  try {
    await page.getByRole('heading', { level: 1, name }).waitFor()
  } catch {
    throw new Error(`${String(name)} is not the heading of this page:\n${await page.locator('body').innerText()}`)
  }
}
export const click = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name, exact: true }).click()
export const follow = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('link', { name }).click()
export const says = (page: Page, text: string | RegExp): Promise<void> => page.getByText(text).first().waitFor()

export const PASSWORDS = { alice: 'alice in the office', bob: 'bob at the desk', dora: 'dora on the road' }

export async function signIn (page: Page, name: keyof typeof PASSWORDS, password = PASSWORDS[name], at = '/sign-in'): Promise<void> {
  await page.goto(at)
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(password)
  await page.getByLabel('Password').press('Enter')
}

/** From the QR code to what follows it; answers the secret. */
export async function scanAndProve ({ scan, code, advance }: Stage, page: Page): Promise<string> {
  const secret = await scan(page)
  advance(30)
  await page.getByLabel('The six digits that the app shows').fill(code(secret))
  return secret
}

export async function saveCodes (page: Page): Promise<string[]> {
  await heading(page, 'Save your recovery codes')
  const codes = await page.locator('.codes code').allInnerTexts()
  await page.getByLabel('I saved them in a safe place').check()
  await click(page, 'Done')
  return codes
}
