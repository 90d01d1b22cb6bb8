import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { enrollPasskey, PASSKEYS } from '../../../test/helpers/passkeys.ts'
import { claimsOf, type User, startService } from '../../../test/helpers/service.ts'
import { problemOf, type StepUp } from '../src/index.ts'
import { wire } from './wired.ts'

const service = await startService(t, { ...PASSKEYS, JWT_SESSION_CLAIM: 'sid', MFA_APPLICATION_AUDIENCES: 'billing' })

/** A user who enrolled in an earlier login, and has to prove a code in this one. */
async function enrolled (): Promise<{ user: User, secret: string, code: () => string }> {
  const user = service.user({ sid: 'now' })
  const { secret } = await user.enroll(user.token({ sid: 'before' }))
  return { user, secret, code: () => service.clock.code(secret) }
}
/** Waits for what happens by itself. */
async function until (isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    if (i > 400) throw new Error('It does not happen.')
    await sleep(25)
  }
}
/** A first-factor token that ends in so many seconds, and with it the MFA token that is made from it. */
const endingIn = (user: User, seconds: number): string => user.token({ exp: service.clock.seconds + seconds })

t.test('the MFA token is sent from then on; what asks for a code sends the login\'s, so that the next lives longer', async t => {
  const { user, code } = await enrolled()
  const wired = wire(user)
  wired.login.token = endingIn(user, 100)
  await wired.mfa.verify({ code: code() })
  t.equal((await wired.mfa.getStatus()).decision.reason, 'mfa_verified')
  const first = wired.received[0]
  t.equal(await wired.mfa.token(), first?.token)
  service.clock.advance(30)
  wired.login.token = endingIn(user, 800)
  await wired.mfa.verify({ code: code() })
  t.ok(claimsOf(wired.received[1]?.token as string).exp > claimsOf(first?.token as string).exp + 600)
})

t.test('it is renewed before it ends, once for all calls of that moment, and its owner is not asked again', async t => {
  const { user, code } = await enrolled()
  const asked: StepUp[] = []
  const { mfa, login, sent } = wire(user, { onStepUp: problem => { asked.push(problem); return false } }, false)
  login.token = endingIn(user, 2)
  await mfa.verify({ code: code() })
  login.token = user.token()
  await sleep(1550)
  sent()
  await Promise.all([mfa.listFactors(), mfa.getStatus(), mfa.getRecovery(), mfa.token()])
  t.equal(sent().filter(line => line === 'POST /mfa/token').length, 1)
  const renewed = claimsOf(await mfa.token() as string)
  t.ok(renewed.exp > service.clock.seconds + 600)
  service.clock.advance(5)
  t.match(await mfa.replaceRecoveryCodes(), { recoveryCodes: Array }, 'where nothing less than an MFA token will do')
  t.same(asked, [])
})

t.test('who wants to hear of tokens hears of the next one before the last one ends, without a call', async t => {
  const { user, code } = await enrolled()
  const { mfa, login, received, sent } = wire(user)
  login.token = endingIn(user, 2)
  await mfa.verify({ code: code() })
  login.token = user.token()
  sent()
  await until(() => received.length > 1)
  t.same(sent(), ['POST /mfa/token'])
  t.match(received, [{ acr: 'mfa' }, { acr: 'mfa' }])
  t.not(received[0]?.token, received[1]?.token)
})

t.test('a session that is not remembered keeps its token to the end, and asks for another once', async t => {
  const forgetful = await startService(t)
  const user = forgetful.user({ sid: 'now' })
  const { secret } = await user.enroll()
  const { mfa, login, received, sent } = wire(user)
  login.token = user.token({ exp: forgetful.clock.seconds + 2 })
  await mfa.verify({ code: forgetful.clock.code(secret) })
  login.token = user.token()
  sent()
  const lines: string[] = []
  await until(() => lines.push(...sent()) > 0)
  await mfa.listFactors()
  await mfa.listFactors()
  t.same([...lines, ...sent()], ['POST /mfa/token', 'GET /mfa/factors', 'GET /mfa/factors'])
  await until(() => received.length > 1)
  t.equal(received.at(-1), null, 'and its end is told')
  t.equal((await mfa.getStatus()).decision.action, 'verify')
})

t.test('after a reload the user is not asked again: the session gives the token anew', async t => {
  const { user, code } = await enrolled()
  await wire(user).mfa.verify({ code: code() })
  const { mfa, sent } = wire(user, { onStepUp: () => { throw new Error('asked') } })
  t.equal((await mfa.getStatus()).decision.reason, 'mfa_verified')
  sent()
  t.match(await mfa.replaceRecoveryCodes(), { recoveryCodes: Array })
  t.same(sent(), ['POST /mfa/recovery/codes', 'POST /mfa/token', 'POST /mfa/recovery/codes'])
  t.equal(typeof await wire(user).mfa.token(), 'string')
})

t.test('where more is needed the user is asked once, however many calls wait for it, and the calls are made again', async t => {
  const { user, code } = await enrolled()
  const asked: StepUp[] = []
  const { mfa, sent } = wire(user, {
    onStepUp: async problem => {
      asked.push(problem)
      await sleep(20)
      await mfa.verify({ code: code() })
      return true
    }
  })
  const answers = await Promise.all([
    mfa.startEnrollment({ label: 'Second' }),
    mfa.replaceRecoveryCodes(),
    mfa.renameFactor((await mfa.listFactors()).items[0]?.id as string, { label: 'First' })
  ])
  t.match(answers, [{ secret: String }, { recoveryCodes: Array }, { label: 'First' }])
  t.match(asked, [{ action: 'verify', maxAge: 900 }])
  t.equal(sent().filter(line => line === 'POST /mfa/verify').length, 1)
})

t.test('where only a passkey counts the question says so, and waits for one after a code that is being typed', async t => {
  const { user, code } = await enrolled()
  const { token } = await user.call('POST', '/mfa/verify', { code: code() }, user.token({ sid: 'before' })).then(({ body }) => body)
  service.clock.advance(30)
  const { authenticator } = await enrollPasskey(user, { token })
  const asked: StepUp[] = []
  const { mfa, login } = wire(user, {
    onStepUp: async problem => {
      asked.push(problem)
      await sleep(20)
      if (problem.acr !== 'phr') await mfa.verify({ code: code() })
      else await mfa.verifyPasskey({ credential: authenticator.get((await mfa.challengePasskey()).options) as never, acr: 'phr' })
      return true
    }
  })
  login.token = user.token({ sid: 'third' })
  const forBilling = { audience: 'billing', acr: 'phr' } as const
  const answers = await Promise.all([mfa.replaceRecoveryCodes(), mfa.renewToken(forBilling), mfa.renewToken(forBilling)])
  t.match(answers, [{ recoveryCodes: Array }, { acr: 'phr' }, { acr: 'phr' }])
  t.match(asked, [{ action: 'verify', acr: undefined }, { action: 'verify', acr: 'phr' }], 'each once')
})

t.test('a passkey is proved with the login\'s token, as a code is, so that the next one lives longer', async t => {
  const user = service.user({ sid: 'now' })
  const { authenticator } = await enrollPasskey(user)
  const { mfa, login, received } = wire(user)
  const prove = async (): Promise<unknown> =>
    await mfa.verifyPasskey({ credential: authenticator.get((await mfa.challengePasskey()).options) as never })
  login.token = endingIn(user, 100)
  await prove()
  login.token = endingIn(user, 800)
  await prove()
  t.ok(claimsOf(received[1]?.token as string).exp > claimsOf(received[0]?.token as string).exp + 600)
})

t.test('an old second factor is asked for again, though the session is remembered', async t => {
  const { user, code } = await enrolled()
  let asked = 0
  const { mfa, login } = wire(user, { onStepUp: async () => { asked++; await mfa.verify({ code: code() }); return true } })
  await mfa.verify({ code: code() })
  service.clock.advance(1200)
  login.token = user.token()
  mfa.forget()
  t.match(await mfa.replaceRecoveryCodes(), { recoveryCodes: Array })
  t.equal(asked, 1)
})

t.test('who does not answer gets the problem, and so does who has no callback', async t => {
  const { user } = await enrolled()
  for (const options of [{ onStepUp: () => false }, {}]) {
    t.match(await wire(user, options).mfa.replaceRecoveryCodes().catch(problemOf), { code: 'step_up_required', action: 'verify' })
  }
})

t.test('a token that ended somewhere else is dropped, and the call goes on with the login\'s', async t => {
  const { user, code } = await enrolled()
  const [here, there] = [wire(user), wire(user)]
  await here.mfa.verify({ code: code() })
  service.clock.advance(30)
  await there.mfa.verify({ code: code() })
  await there.mfa.endAllSessions()
  t.same(there.received.map(token => token?.acr ?? null), ['mfa', null])
  here.sent()
  const [status] = await Promise.all([here.mfa.getStatus(), here.mfa.listFactors()])
  t.equal(status.decision.action, 'verify')
  t.same(here.received.map(token => token?.acr ?? null), ['mfa', null])
  t.same(here.sent().sort(), ['GET /mfa/factors', 'GET /mfa/factors', 'GET /mfa/status', 'GET /mfa/status'])
})

t.test('log-out ends it at the service and here; forgetting it is of this client alone', async t => {
  const { user, code } = await enrolled()
  const { mfa, received } = wire(user)
  const { token } = await mfa.verify({ code: code() })
  mfa.forget()
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200)
  await mfa.token()
  await mfa.endSession()
  t.same(received.map(each => each?.acr ?? null), ['mfa', null, 'mfa', null])
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401)
  t.equal(await mfa.token(), null)
})

t.test('a renewal that is overtaken by a code, or by the log-out, changes nothing', async t => {
  const { user, code } = await enrolled()
  let answer: () => void = () => {}
  const late = new Promise<void>(resolve => { answer = resolve })
  const { mfa, received } = wire(user, {
    fetch: async (url, init) => {
      const response = await fetch(url, init)
      if (url.endsWith('/mfa/token')) await late
      return response
    }
  })
  await mfa.verify({ code: code() })
  mfa.forget()
  const renewal = mfa.token()
  await sleep(50)
  service.clock.advance(30)
  const { token } = await mfa.verify({ code: code() })
  answer()
  t.equal(await renewal, token)
  t.same(received.map(each => each?.acr ?? null), ['mfa', null, 'mfa'])
})

t.test('while the service cannot be reached, what is held counts on', async t => {
  const { user, code } = await enrolled()
  let isGone = false
  const { mfa, login, received } = wire(user, {
    fetch: async (url, init) => await fetch(isGone && url.endsWith('/mfa/token') ? 'http://127.0.0.1:1' : url, init)
  })
  login.token = endingIn(user, 2)
  const { token } = await mfa.verify({ code: code() })
  login.token = user.token()
  isGone = true
  await sleep(1550)
  t.equal(await mfa.token(), token)
  t.equal(received.length, 1)
})
