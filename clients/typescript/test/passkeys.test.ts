// The entry for passkeys in Chromium: its own virtual authenticator, a page at localhost, and the service at another origin.
import t from 'tap'
import { addDevice } from '../../../test/helpers/browser.ts'
import { until } from '../../../test/helpers/until.ts'
import { stage, type VisitOptions } from './page.ts'

const { service, visit } = await stage(t)
const withoutPreflights = (lines: string[]): string[] => lines.filter(line => !line.startsWith('OPTIONS '))

t.test('a user sets a passkey up and proves it, on a page of another origin than the service', async t => {
  const user = service.user({ sid: 's1' })
  const { run, device } = await visit(user)
  t.equal(await run('lib.isSupported()'), true)
  const answer = await run('lib.registerPasskey(mfa, { label: "Laptop" })')
  t.match(answer, { acr: 'mfa', nextCodeAt: null })
  t.equal(answer.recoveryCodes.length, 10)
  t.match(await run('lib.provePasskey(mfa)'), { acr: 'phr', factorId: answer.factorId })
  const status = await run('mfa.getStatus()')
  t.match(status, { decision: { reason: 'mfa_verified' }, factors: [{ label: 'Laptop', kind: 'passkey', passkey: { usable: true } }] })
  t.same(await device.credentials(), [status.factors[0].passkey.credentialId])
  const late = await visit(user)
  t.match(await late.run('lib.provePasskey(mfa)'), { name: 'PasskeyError', reason: 'cancelled' }, 'a device without the passkey')
})

t.test('with a challenge that is there before, nothing is between the click and the question', async t => {
  const user = service.user({ sid: 's1' })
  const { page, run, sent } = await visit(user)
  await run('lib.registerPasskey(mfa)')
  await run('prepared = lib.prepare(mfa), await prepared.challenge()')
  await page.evaluate(`
    let asked = []
    const get = navigator.credentials.get
    navigator.credentials.get = function (options) { asked.push(performance.getEntriesByType('resource').length); return get.call(this, options) }
    document.querySelector('button').onclick = () => {
      asked = [performance.getEntriesByType('resource').length]
      proof = lib.provePasskey(mfa, { prepared }).then(answer => ({ ...answer, asked }))
    }`)
  sent()
  await page.getByRole('button').click()
  const { acr, asked } = await run('proof')
  t.equal(acr, 'phr')
  t.equal(asked.length, 2)
  t.equal(asked[0], asked[1], 'no request in between')
  t.same(withoutPreflights(sent()), ['POST /mfa/passkeys/verify'])
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { acr: 'phr' }, 'one that was answered is not answered again')
  t.same(withoutPreflights(sent()), ['POST /mfa/passkeys/challenge', 'POST /mfa/passkeys/verify'])
})

t.test('a challenge is renewed every four minutes until it is stopped; after a sleep none is used that is too old', async t => {
  const user = service.user({ sid: 's1' })
  const { page, run, sent } = await visit(user)
  await run('lib.registerPasskey(mfa)')
  await page.clock.install()
  sent()
  await run('prepared = lib.prepare(mfa), await prepared.challenge()')
  const asked = (): number => sent().filter(line => line === 'POST /mfa/passkeys/challenge').length
  t.equal(asked(), 1)
  await page.clock.fastForward(239_000)
  t.equal(asked(), 0)
  for (let renewals = 0; renewals < 2; renewals++) {
    await page.clock.fastForward(renewals === 0 ? 1000 : 240_000)
    await until(() => asked() === 1)
  }
  // The clock goes on without its timers, as in a computer that sleeps.
  await page.clock.setSystemTime(Date.now() + 3_600_000)
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { acr: 'phr' })
  t.equal(asked(), 1)
  await run('prepared.stop()')
  await page.clock.fastForward(600_000)
  await run('mfa.getStatus()')
  t.equal(asked(), 0)
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { acr: 'phr' }, 'a click asks for one all the same')
  await page.clock.fastForward(600_000)
  t.equal(asked(), 1)
})

t.test('a challenge that cannot be had is told to the click, which tries again; a refused answer is followed by a new one', async t => {
  const user = service.user({ sid: 's1' })
  const { page, run, sent, device } = await visit(user)
  t.match(await run('prepared = lib.prepare(mfa), await lib.provePasskey(mfa, { prepared })'), { code: 'not_enrolled' })
  await run('lib.registerPasskey(mfa)')
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { acr: 'phr' })
  await device.setVerified(false)
  sent()
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { reason: 'cancelled' })
  await device.setVerified(true)
  await page.route('**/mfa/passkeys/verify', async route => {
    const body = route.request().postDataJSON()
    if (body !== null) body.credential.response.signature = 'AAAA'
    await route.continue({ postData: JSON.stringify(body) })
  })
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { code: 'code_refused' })
  const [challenge, verify] = ['POST /mfa/passkeys/challenge', 'POST /mfa/passkeys/verify']
  const lines: string[] = []
  await until(() => lines.push(...withoutPreflights(sent())) >= 3)
  t.same(lines, [challenge, verify, challenge], 'the window that was closed has used up none, and there is a new one before the next click')
  await page.unroute('**/mfa/passkeys/verify')
  t.match(await run('lib.provePasskey(mfa, { prepared })'), { acr: 'phr' })
  t.same(withoutPreflights(sent()), [verify])
})

t.test('what the browser refuses has a reason', async t => {
  const user = service.user({ sid: 's1' })
  const { run, device } = await visit(user)
  await device.setVerified(false)
  t.match(await run('lib.registerPasskey(mfa)'), { name: 'PasskeyError', reason: 'cancelled' })
  await device.setVerified(true)
  const { token } = await run('lib.registerPasskey(mfa)')
  t.ok(token)
  t.match(await run('lib.registerPasskey(mfa)'), { reason: 'already_here' })

  await device.setPresent(false)
  await run('controller = new AbortController(), pending = lib.provePasskey(mfa, { signal: controller.signal }), 0')
  t.match(await until(async () => {
    const other = await run('lib.provePasskey(mfa, { signal: AbortSignal.timeout(500) })')
    return other.reason === 'failed' && other
  }), { message: /pending/ }, 'two questions at once')
  t.match(await run('controller.abort(), await pending'), { name: 'AbortError', reason: undefined })
  await device.setPresent(true)

  const elsewhere = await visit(user, { host: '127.0.0.1' })
  t.match(await elsewhere.run('lib.provePasskey(mfa)'), { reason: 'wrong_domain' })
  const old = await visit(user, { script: 'delete globalThis.PublicKeyCredential' })
  t.equal(await old.run('lib.isSupported()'), false)
  for (const call of ['registerPasskey', 'provePasskey']) {
    t.match(await old.run(`lib.${call}(mfa)`), { reason: 'unsupported', message: /https or localhost/ })
  }
  t.same(withoutPreflights(old.sent()), [], 'before anything is asked of the service')
})

/** Browsers of 2022, and password managers that hand over objects of their own. */
const OLD: Record<string, string> = {
  'a browser without the JSON of passkeys': `delete PublicKeyCredential.parseCreationOptionsFromJSON
    delete PublicKeyCredential.parseRequestOptionsFromJSON
    delete PublicKeyCredential.prototype.toJSON
    delete PublicKeyCredential.signalAllAcceptedCredentials`,
  'a password manager with objects of its own': `for (const name of ['create', 'get']) {
      const native = navigator.credentials[name]
      navigator.credentials[name] = async function (options) {
        const { id, type, response } = await native.call(this, options)
        return Object.setPrototypeOf({ id, type, response }, PublicKeyCredential.prototype)
      }
    }`
}
for (const [name, script] of Object.entries(OLD)) {
  t.test(`${name} sets up, knows again and proves`, async t => {
    const options: VisitOptions = { script: `"PublicKeyCredential" in globalThis && (() => { ${script} })()` }
    const { run } = await visit(service.user({ sid: 's1' }), options)
    const { factorId } = await run('lib.registerPasskey(mfa)')
    t.ok(factorId)
    t.match(await run('lib.registerPasskey(mfa)'), { reason: 'already_here' })
    t.match(await run('lib.provePasskey(mfa, { acr: "phr" })'), { acr: 'phr', factorId })
    t.equal(await run('mfa.getStatus().then(({ factors }) => lib.removePasskey(mfa, factors[0]))'), undefined)
  })
}

t.test('a passkey that the service refused is deleted where it is kept; not where it is not known whether it was taken', async t => {
  const { page, run, device } = await visit(service.user({ sid: 's1' }))
  const confirm = '**/mfa/passkeys/confirm'
  await page.route(confirm, route => route.request().method() === 'OPTIONS' ? route.continue() : route.abort())
  t.match(await run('lib.registerPasskey(mfa)'), { code: 'unreachable' })
  t.equal((await device.credentials()).length, 1)
  await page.unroute(confirm)
  await page.route(confirm, async route => {
    const body = route.request().postDataJSON()
    if (body !== null) body.credential.response.clientDataJSON = 'AAAA'
    await route.continue({ postData: JSON.stringify(body) })
  })
  const [before] = await device.credentials()
  t.match(await run('lib.registerPasskey(mfa)'), { code: 'code_refused' })
  await until(async () => (await device.credentials()).every(id => id === before))
})

t.test('a busy service is handed the same answer again, a few times, and the user is not asked once more', async t => {
  const { page, run, sent, device } = await visit(service.user({ sid: 's1' }))
  let refusals = 0
  let retryAfter = '1'
  await page.route(/\/mfa\/passkeys\/(confirm|verify)$/, async route => {
    if (route.request().method() === 'OPTIONS' || refusals-- <= 0) return await route.continue()
    await route.fulfill({
      status: 503,
      headers: { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Retry-After', 'retry-after': retryAfter },
      contentType: 'application/problem+json',
      body: JSON.stringify({ code: 'unavailable', detail: 'busy' })
    })
  })
  const counted = (path: string): number => sent().filter(line => line === `POST ${path}`).length
  refusals = 2
  t.match(await run('lib.registerPasskey(mfa)'), { acr: 'mfa' })
  t.equal(counted('/mfa/passkeys/confirm'), 3)
  t.equal((await device.credentials()).length, 1)
  refusals = 1
  t.match(await run('lib.provePasskey(mfa)'), { acr: 'phr' })
  refusals = 3
  t.match(await run('lib.provePasskey(mfa)'), { code: 'unavailable' })
  retryAfter = '60'
  refusals = 1
  sent()
  t.match(await run('lib.provePasskey(mfa)'), { code: 'unavailable' }, 'not for a minute')
  t.equal(counted('/mfa/passkeys/verify'), 1)
})

t.test('after a removal the device forgets that passkey, and keeps every other', async t => {
  const { page, run, device } = await visit(service.user({ sid: 's1' }))
  await run('lib.registerPasskey(mfa, { label: "Laptop" })')
  await device.setPresent(false)
  const key = await addDevice(page, { transport: 'usb' })
  await run('lib.registerPasskey(mfa, { label: "Key" })')
  const [laptop] = await device.credentials()
  t.equal((await key.credentials()).length, 1)
  await run('mfa.getStatus().then(({ factors }) => lib.removePasskey(mfa, factors.find(({ label }) => label === "Key")))')
  t.match((await run('mfa.getStatus()')).factors, [{ label: 'Laptop' }])
  await until(async () => (await key.credentials()).length === 0)
  t.same(await device.credentials(), [laptop])
})
