// Debian's Chromium before the example, and a phone that is not ours: zbarimg reads the QR code of a screenshot, oathtool makes the code.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { BROWSER } from '../../../test/helpers/browser.ts'
import { freePort } from '../../../test/helpers/gateways.ts'
import { startExample } from '../example.ts'

interface Test { teardown: (action: () => unknown) => unknown }

/** A small phone's width. */
export const PHONE = { width: 360, height: 740 }

export interface Stage {
  origin: string
  /** Time goes on at once: to the next code, or to the end of a wait. */
  advance: (seconds: number) => void
  /** The service's time. */
  now: () => Date
  /** Log-ins by password say this from now on, and `undefined` leaves a claim out. */
  say: (claims: Record<string, unknown>) => void
  /** A browser of one user: cookies, language. */
  visitor: (options?: Parameters<Browser['newContext']>[0]) => Promise<{ page: Page, context: BrowserContext }>
  /** What oathtool makes of a secret at the service's time, or some steps away. */
  code: (secret: string, steps?: number) => string
  /** Scans the QR code on the page. */
  scan: (page: Page) => Promise<string>
  /** For docs/front-end.md; only where SCREENSHOTS is set, so that a test run changes no file. */
  picture: (page: Page, name: string) => Promise<void>
}

export async function stage (t: Test): Promise<Stage> {
  let ahead = 0
  let changed: Record<string, unknown> = {}
  const clock = (): Date => new Date(Date.now() + ahead * 1000)
  const directory = mkdtempSync(join(tmpdir(), 'headless-mfa-browser-'))
  t.teardown(() => { rmSync(directory, { recursive: true, force: true }) })
  const [example, browser] = await Promise.all([
    freePort().then(port => startExample({ port, clock, say: claims => ({ ...claims, ...changed }) })),
    chromium.launch(BROWSER)
  ])
  t.teardown(async () => { await browser.close(); await example.stop() })
  return {
    origin: example.origin,
    now: clock,
    advance: seconds => { ahead += seconds },
    say: claims => { changed = claims },
    visitor: async options => {
      const context = await browser.newContext({
        baseURL: example.origin,
        viewport: PHONE,
        locale: 'en',
        reducedMotion: 'reduce',
        ...options
      })
      return { context, page: await context.newPage() }
    },
    code: (secret, steps = 0) =>
      execFileSync('oathtool', ['--totp', '--base32', '--now', `@${Math.floor(clock().getTime() / 1000) + steps * 30}`, secret], {
        encoding: 'utf8'
      }).trim(),
    picture: async (page, name) => {
      if (process.env.SCREENSHOTS !== undefined) await page.screenshot({ path: `docs/front-end/${name}.png`, fullPage: true })
    },
    scan: async page => {
      const file = join(directory, 'screenshot.png')
      await page.getByRole('img', { name: 'QR' }).waitFor()
      writeFileSync(file, await page.screenshot({ fullPage: true }))
      const uri = new URL(execFileSync('zbarimg', ['--quiet', '--raw', file], { encoding: 'utf8' }).trim())
      return uri.searchParams.get('secret') as string
    }
  }
}

/** What axe-core finds serious, and whether anything sticks out of a phone's width. Empty is good. */
export async function faults (page: Page): Promise<string[]> {
  await page.evaluate(readFileSync('node_modules/axe-core/axe.min.js', 'utf8'))
  const { violations } = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })') as AxeResults
  const width = await page.evaluate('document.documentElement.scrollWidth') as number
  const found = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) =>
    `${id}: ${nodes.map(({ html }) => html).join(' ')}`
  )
  const { width: wanted = 0 } = page.viewportSize() ?? {}
  return [...found, ...(width > wanted ? [`${new URL(page.url()).pathname} is ${width} wide`] : [])]
}
