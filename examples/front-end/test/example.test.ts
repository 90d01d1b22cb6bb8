// The guide of an application's second factor, walked by users in a browser: set up, lose the phone, be required.
import t from 'tap'
import { faults, stage } from './browser.ts'
import { click, follow, heading, PASSWORDS, saveCodes, says, scanAndProve, signIn } from './steps.ts'

const example = await stage(t)
const { visitor, scan, code, advance, now, picture, say } = example

/** What Bob has by now. */
const bob = { secret: '', codes: [] as string[] }

t.test('Bob turns it on, saves the codes, logs out, and is asked for a code at the next log-in', async t => {
  const { page, context } = await visitor()
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(page, 'bob', 'wrong')
  await says(page, 'That name and password do not belong together.')
  t.same(await faults(page), [])
  await signIn(page, 'bob')
  await heading(page, 'Hello, bob')
  t.same(await faults(page), [])
  await follow(page, 'Settings')
  await follow(page, 'Security')
  await heading(page, 'Security')
  await picture(page, '1-security')
  await follow(page, 'Enable two-factor authentication')
  await page.getByLabel('What do you call this device?').fill('My phone')
  t.same(await faults(page), [])
  await click(page, 'Use an authenticator app')
  bob.secret = await scan(page)
  t.equal((await page.locator('.secret').innerText()).replaceAll(' ', ''), bob.secret, 'the key to type is the one in the QR code')
  t.same(await faults(page), [])
  const digits = page.getByLabel('The six digits that the app shows')
  t.match([await digits.getAttribute('inputmode'), await digits.getAttribute('autocomplete')], ['numeric', 'one-time-code'])
  await picture(page, '2-scan')
  await digits.fill(code(bob.secret))
  await heading(page, 'Save your recovery codes')
  bob.codes = await page.locator('.codes code').allInnerTexts()
  t.equal(bob.codes.length, 10)
  await click(page, 'Copy')
  await says(page, 'Copied.')
  t.equal(await page.evaluate('navigator.clipboard.readText()'), `${bob.codes.join('\n')}\n`)
  const [file] = await Promise.all([page.waitForEvent('download'), click(page, 'Download')])
  t.equal(file.suggestedFilename(), 'recovery-codes.txt')
  t.same(await faults(page), [])
  t.ok(await page.getByRole('button', { name: 'Done' }).isDisabled(), 'not before Bob says that they are saved')
  await picture(page, '3-recovery-codes')
  await saveCodes(page)
  await heading(page, 'Security')
  await says(page, '10 of 10 recovery codes are left.')
  t.same(await faults(page), [])

  await click(page, 'Log out')
  await heading(page, 'Sign in')
  await page.goto('/app/')
  t.match(page.url(), /\/sign-in\?return_to=/, 'the gateway leads to the log-in page')
  await signIn(page, 'bob')
  await heading(page, 'Enter your code')
  await page.goto('/app/')
  await heading(page, 'Enter your code')
  t.match(page.url(), /\/second-factor\/code\?return_to=/, 'the gateway lets Bob nowhere else')
  t.same(await faults(page), [])
  await page.getByLabel('Six-digit code').fill('000000')
  await says(page, 'That code did not work.')
  await picture(page, '4-code')
  advance(30)
  // As users paste it, here from a message in Arabic.
  const pasted = code(bob.secret).replace(/^(...)/, '$1\u2013').replace(/\d/g, digit => String.fromCodePoint(0x660 + Number(digit)))
  const entry = page.getByLabel('Six-digit code')
  await entry.fill(`2 ${pasted}`)
  t.equal((await entry.inputValue()).length, 7, 'seven digits are no code: none of them is tried')
  await entry.fill(`\u200F${pasted} `)
  await heading(page, 'Hello, bob')
  await context.close()
})

t.test('Bob loses the phone: a recovery code opens once, Bob sets up a new phone and removes the old one', async t => {
  const { page, context } = await visitor()
  await signIn(page, 'bob')
  await heading(page, 'Enter your code')
  await follow(page, 'Lost your phone?')
  await heading(page, 'Use a recovery code')
  t.same(await faults(page), [])
  await picture(page, '5-recovery')
  const field = page.getByLabel('Recovery code')
  await field.fill((bob.codes[0] as string).replace(/.$/, last => last === '0' ? '1' : '0'))
  await field.press('Enter')
  await says(page, 'That code did not work. Check it against your list; each code works once.')
  // As a user types it from paper.
  await field.fill((bob.codes[0] as string).toLowerCase().replaceAll('-', ' \u2013 '))
  await field.press('Enter')
  await heading(page, 'Set up a new authenticator')
  await says(page, 'Now set up the phone that you have')
  t.same(await faults(page), [])
  await page.getByLabel('What do you call this device?').fill('New phone')
  await click(page, 'Use an authenticator app')
  bob.secret = await scanAndProve(example, page)
  await heading(page, 'Do you still have your old device?')
  t.same(await faults(page), [])
  await click(page, 'Remove My phone')
  await heading(page, 'Hello, bob')
  await page.goto('/app/settings/security')
  await says(page, '9 of 10 recovery codes are left.')
  await says(page, 'New phone')
  t.equal(await page.getByText('My phone').count(), 0)
  await context.close()
})

t.test('authenticators are added, renamed and removed; a name that is taken is said to be', async t => {
  const { page, context } = await visitor()
  await signIn(page, 'bob')
  advance(30)
  await page.getByLabel('Six-digit code').fill(code(bob.secret))
  await heading(page, 'Hello, bob')
  await page.goto('/app/settings/security')
  await follow(page, 'Add another authenticator')
  await page.getByLabel('What do you call this device?').fill('New phone')
  await click(page, 'Use an authenticator app')
  await says(page, 'You have an authenticator of that name already.')
  await page.getByLabel('What do you call this device?').fill('Tablet')
  await click(page, 'Use an authenticator app')
  await scanAndProve(example, page)
  await heading(page, 'Security')
  await click(page, 'Rename Tablet')
  await page.getByRole('dialog').getByLabel('What do you call this device?').fill('Old tablet')
  t.same(await faults(page), [])
  await click(page, 'Save')
  await says(page, 'Old tablet')
  t.same(await faults(page), [])
  await click(page, 'Remove Old tablet')
  await says(page, 'Its codes will not work any more.')
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
  // The tablet's code was the last: what it had opened is closed again.
  await heading(page, 'Enter your code')
  advance(30)
  await page.getByLabel('Six-digit code').fill(code(bob.secret))
  await heading(page, 'Security')
  await says(page, 'New phone')
  t.equal(await page.getByRole('button', { name: /^Rename / }).count(), 1)
  await context.close()
})

t.test('codes that run low are shown; new ones that the user has not said to be saved are offered anew at the next visit', async t => {
  const { page, context } = await visitor()
  await signIn(page, 'bob')
  await heading(page, 'Enter your code')
  // Six log-ins of other days.
  for (const used of bob.codes.slice(1, 7)) {
    const status = await page.evaluate(`fetch('/auth/token').then(answer => answer.json()).then(({ token }) => fetch('/mfa/recovery', {
      method: 'POST', headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' }, body: JSON.stringify({ code: '${used}' }) })).then(({ status }) => status)`)
    t.equal(status, 200)
  }
  await page.goto('/app/')
  await heading(page, 'Hello, bob')
  await says(page, 'Only 3 recovery codes are left.')
  t.same(await faults(page), [])
  await click(page, 'Get new recovery codes')
  await heading(page, 'Save your recovery codes')
  // The user closes the window, and comes again.
  await page.goto('/app/')
  await says(page, 'You have not said that your recovery codes are saved.')
  t.same(await faults(page), [])
  await click(page, 'Get new recovery codes')
  bob.codes = await saveCodes(page)
  await heading(page, 'Hello, bob')
  t.equal(await page.getByText('recovery codes').count(), 0, 'nothing to be reminded of')
  await context.close()
})

t.test('the flag leads every user with a password to the set-up, whatever page they open, and leaves users with SSO alone in ' +
  'peace', async t => {
  const administrator = await visitor({ viewport: { width: 1100, height: 420 } })
  const alice = administrator.page
  await signIn(alice, 'alice')
  await heading(alice, 'Hello, alice')
  await alice.goto('/app/administration')
  await says(alice, 'Who administers must have a second factor.')
  t.same(await faults(alice), [])
  await follow(alice, 'Enable two-factor authentication')
  await click(alice, 'Use an authenticator app')
  await scanAndProve(example, alice)
  await saveCodes(alice)
  await heading(alice, 'Administration')
  await says(alice, /Of \d+ users that were here/)
  await alice.getByLabel('Require two-factor authentication of everybody').check()
  await says(alice, 'Saved. It counts from now on.')
  t.same(await faults(alice), [])
  await picture(alice, '7-administration')

  const employee = await visitor()
  const carol = employee.page
  await carol.goto('/sign-in')
  await follow(carol, 'Sign in with your company')
  await carol.getByLabel('Name').fill('carol')
  await click(carol, 'Sign in')
  await heading(carol, 'Hello, carol')
  await carol.goto('/app/settings/security')
  await says(carol, 'You sign in with your company, which takes care of a second factor.')
  t.same(await faults(carol), [])

  const traveller = await visitor()
  const dora = traveller.page
  // The flag counts within a second.
  for (let tries = 0; tries < 20; tries++) {
    await signIn(dora, 'dora')
    await dora.waitForURL(url => url.pathname !== '/sign-in')
    if (dora.url().includes('/second-factor/set-up')) break
  }
  for (const path of ['/app/', '/app/settings', '/app/settings/security', '/app/administration']) {
    await dora.goto(path)
    await heading(dora, 'Set up two-factor authentication')
    t.match(dora.url(), /\/second-factor\/set-up\?return_to=/, path)
  }
  await says(dora, 'Your organisation requires two-factor authentication. Set it up to go on')
  t.same(await faults(dora), [])
  await picture(dora, '8-required')
  t.equal((await dora.request.get('/app/api/documents')).status(), 403, 'and the data are closed, too')

  say({ auth_time: undefined })
  for (let logins = 1; logins <= 2; logins++) {
    await signIn(dora, 'dora')
    await says(dora, 'signing in again will not help')
    t.match(dora.url(), /\/second-factor\/set-up\?return_to=/, 'she is told, and not sent round in circles')
    t.equal(await dora.locator('main').getByRole('textbox').count(), 0, 'there is nothing to type')
    t.same(await faults(dora), [])
  }
  await dora.goto('/app/settings')
  await says(dora, 'signing in again will not help')
  say({})
  await signIn(dora, 'dora', PASSWORDS.dora, `/sign-in?return_to=${encodeURIComponent('/app/administration')}`)
  await heading(dora, 'Set up two-factor authentication')

  // With the keyboard alone: the field has the focus, the buttons follow it, the sixth digit sends it.
  await dora.keyboard.type('Pocket')
  for (let tabs = 0; tabs < 3 && await dora.evaluate('document.activeElement.textContent') !== 'Use an authenticator app'; tabs++) {
    await dora.keyboard.press('Tab')
  }
  await dora.keyboard.press('Enter')
  const secret = await scan(dora)
  advance(30)
  await dora.keyboard.type(code(secret))
  await heading(dora, 'Save your recovery codes')
  for (let tabs = 0; tabs < 10 && await dora.evaluate('document.activeElement.type') !== 'checkbox'; tabs++) {
    await dora.keyboard.press(
      'Tab'
    )
  }
  await dora.keyboard.press('Space')
  await dora.keyboard.press('Tab')
  await dora.keyboard.press('Enter')
  await heading(dora, 'Administration')
  await says(dora, 'This is not for you to see.')
  await dora.goto('/app/')
  await heading(dora, 'Hello, dora')

  await dora.goto('/app/settings/security')
  await click(dora, 'Remove Pocket')
  await dora.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
  await says(dora, 'Your organisation requires two-factor authentication, so the last authenticator stays.')
  await alice.getByLabel('Require two-factor authentication of everybody').uncheck()
  await says(alice, 'Saved. It counts from now on.')
  for (const { context } of [administrator, employee, traveller]) await context.close()
})

t.test("too many wrong codes: from the second on the phone's clock is named, the wait is counted down, the form sleeps " +
  'meanwhile, and wakes at its end', async t => {
  const { page, context } = await visitor()
  await page.clock.install({ time: now() })
  await signIn(page, 'dora')
  await heading(page, 'Enter your code')
  const field = page.getByLabel('Six-digit code')
  for (let tries = 1; tries <= 6; tries++) {
    await field.fill(`00000${tries}`)
    const text = tries === 1
      ? 'Check it, or wait for the next one.'
      : tries <= 5
        ? 'Set the date and time of your phone to automatic'
        : 'Too many attempts.'
    await page.getByRole('alert').filter({ hasText: text }).waitFor()
  }
  const left = page.getByRole('timer')
  const before = Number(await left.innerText())
  t.ok(before > 20 && before <= 30, `${before} seconds`)
  t.ok(await field.isDisabled())
  t.same(await faults(page), [])
  await picture(page, '9-wait')
  await page.clock.fastForward(5000)
  t.ok(Number(await left.innerText()) <= before - 5)
  await page.clock.fastForward(30_000)
  await left.waitFor({ state: 'detached' })
  t.ok(await field.isEnabled())
  t.equal(await page.evaluate('document.activeElement.name'), 'code', 'and it is the field to type in')
  await context.close()
})

t.test('no link leads a user away, or signs them in as another', async t => {
  const { page, context } = await visitor()
  for (const target of ['/.//elsewhere.example/x', '//elsewhere.example/x', 'https://elsewhere.example/x', '/\\\\elsewhere.example/x']) {
    await signIn(page, 'bob', PASSWORDS.bob, `/sign-in?return_to=${encodeURIComponent(target)}`)
    await heading(page, 'Enter your code')
    const wanted = new URL(new URL(page.url()).searchParams.get('return_to') as string, page.url())
    t.equal(wanted.origin, new URL(page.url()).origin, target)
  }
  await context.close()

  // Mallory begins to sign in with the company, and sends the link with which it would end.
  const mallory = await visitor()
  await mallory.page.goto('/sign-in')
  await follow(mallory.page, 'Sign in with your company')
  const { request } = mallory.page
  let answer = await request.post(mallory.page.url(), { form: { name: 'carol' }, maxRedirects: 0 })
  const leadsTo = (): string => new URL(answer.headers().location as string, answer.url()).href
  while (!leadsTo().includes('/auth/callback?')) answer = await request.get(leadsTo(), { maxRedirects: 0 })
  const victim = await visitor()
  await victim.page.goto(leadsTo())
  await heading(victim.page, 'Sign in')
  t.equal((await victim.page.request.get('/auth/token')).status(), 401)
  for (const each of [mallory, victim]) await each.context.close()
})

t.test('it speaks the browser\'s language, and the one that is chosen from then on', async t => {
  const { page, context } = await visitor({ locale: 'de-AT' })
  await page.goto('/sign-in')
  await heading(page, 'Anmelden')
  t.equal(await page.evaluate('document.documentElement.lang'), 'de')
  t.same(await faults(page), [])
  await page.getByLabel('Name').fill('bob')
  await page.getByLabel('Passwort').fill(PASSWORDS.bob)
  await page.getByLabel('Passwort').press('Enter')
  await heading(page, 'Geben Sie Ihren Code ein')
  t.same(await faults(page), [])
  await picture(page, '10-deutsch')
  await page.getByLabel('Language / Sprache').selectOption('en')
  await heading(page, 'Enter your code')
  await page.reload()
  await heading(page, 'Enter your code')
  await context.close()
})
