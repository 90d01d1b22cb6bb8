import { createSigner } from 'fast-jwt'
import { Secret } from 'otpauth'
import QRCode from 'qrcode'
import { codeAt, stepAt } from '../factors/totp/totp.ts'
import { type Disposable, Interrupted, SIGNALS, startDisposable } from './disposable.ts'
import { explain } from './explain.ts'
import { readOptions } from './options.ts'

readOptions(`npm run demo

Tells the whole story in the terminal, in a few seconds: QR code, codes, a replay refused, recovery, and the policy from
report-only to enforced. It calls a real service with a PostgreSQL of its own, over HTTP, and leaves nothing behind.`, {})

const say = (line = ''): void => { process.stdout.write(`${line}\n`) }
let ahead = 0
/** The demo's time: it jumps where you would wait for the next code. */
const clock = (): Date => new Date(Date.now() + ahead * 1000)

let service: Disposable | undefined
let exitCode = 0
try {
  service = await startDisposable({}, clock)
  service.ignoreSignals()
  const ended = new Promise<never>((_resolve, reject) => {
    for (const signal of SIGNALS) process.once(signal, () => { reject(new Interrupted(signal)) })
  })
  await Promise.race([tell(service.access.MFA_TEST_URL), ended])
} catch (error) {
  if (error instanceof Interrupted) exitCode = error.exitCode
  else {
    exitCode = 1
    process.stderr.write(`The demo failed: ${explain(error, {})}\n`)
  }
}
await service?.stop()
process.exit(exitCode)

interface Answer { status: number, body: Record<string, any> }

async function tell (origin: string): Promise<void> {
  const alice = token('alice', { roles: ['mfa:admin'], accounts: ['local'] })

  title('Alice has signed in with her password. What must happen next?')
  await call(origin, 'GET', '/mfa/status', alice, undefined, ({ body }) => `decision: ${body.decision.action} (${body.decision.reason})`)

  title('She turns on two-factor authentication: a QR code to scan, or a secret to type.')
  const started = await call(origin, 'POST', '/mfa/enroll', alice, { label: 'My phone' }, ({ body }) => `secret: ${body.secret}`)
  say(await QRCode.toString(started.body.otpauthUri, { type: 'terminal', small: true }))
  const secret = Secret.fromBase32(started.body.secret).bytes
  const code = (): string => codeAt(secret, stepAt(clock()))

  title('She types the six digits that her app shows. Now it counts, and she gets her recovery codes, once.')
  const used = code()
  const confirmed = await call(
    origin,
    'POST',
    '/mfa/enroll/confirm',
    alice,
    { factorId: started.body.factorId, code: used },
    ({ body }) => `acr: ${body.acr}, amr: ${body.amr.join(' ')}`
  )
  for (const recoveryCode of confirmed.body.recoveryCodes) say(`    ${recoveryCode}`)
  await call(origin, 'POST', '/mfa/recovery/acknowledge', alice, undefined, () => 'she has saved them')

  title('Someone who looked over her shoulder tries the same code again.')
  await call(origin, 'POST', '/mfa/verify', alice, { code: used }, refused)

  title('She logs out and in again, and is asked for a code. (Thirty seconds later: the next one.)')
  ahead += 30
  await call(origin, 'POST', '/mfa/verify', alice, { code: code() }, ({ body }) => `an MFA token for ${body.expiresIn} s, acr: ${body.acr}`)

  title('She has lost her phone: a recovery code, typed as users type. It works once.')
  const [first] = confirmed.body.recoveryCodes as string[]
  await call(
    origin,
    'POST',
    '/mfa/recovery',
    alice,
    { code: (first as string).toLowerCase().replaceAll('-', ' ') },
    ({ body }) => `acr: ${body.acr}, ${body.remaining} codes left`
  )
  await call(origin, 'POST', '/mfa/recovery', alice, { code: first }, refused)

  ahead += 30
  const admin = await call(origin, 'POST', '/mfa/verify', alice, { code: code() }, ({ body }) => `acr: ${body.acr}`)
  await tellFlag(origin, admin.body.token)
}

/** The flag's story: which users it would hit, which it does, and which it leaves alone. */
async function tellFlag (origin: string, admin: string): Promise<void> {
  const put = (policy: object): Promise<Answer> =>
    call(
      origin,
      'PUT',
      '/admin/policy',
      admin,
      policy,
      ({ body }) => `enforcement: ${body.enforcement}, ${body.gracePeriodDays} days, version ${body.version}`
    )
  const bob = token('bob', { accounts: ['local', 'sso'] })
  const carol = token('carol', { accounts: ['sso'] })
  const dave = token('dave', { accounts: ['local'] })

  title('Alice is an administrator. Bob has a local account and an SSO one. Carol only signs in by SSO. MFA is optional.')
  await decisionOf(origin, 'Bob', bob)
  await decisionOf(origin, 'Carol', carol)

  title('First report-only: everyone passes, and each decision says what would be asked.')
  await put({ enforcement: 'report_only' })
  await decisionOf(origin, 'Bob', bob)

  title('Who would have to enroll? A preview, which changes nothing.')
  await call(
    origin,
    'POST',
    '/admin/policy/preview',
    admin,
    { enforcement: 'required' },
    ({ body }) => `of ${body.users}: ${body.enrolled} enrolled, ${body.mustEnroll} must enroll, ${body.exempt} left to SSO`
  )

  title('Required, with two weeks for each user, counted from the first time the policy applies to them.')
  await put({ enforcement: 'required', gracePeriodDays: 14 })
  await decisionOf(origin, 'Bob', bob)

  title('Required at once: new users must set it up first. Until then a gateway lets Dave through to no page.')
  await put({ gracePeriodDays: 0 })
  await decisionOf(origin, 'Dave', dave)
  await call(origin, 'GET', '/mfa/authorize', dave, undefined, refused, 403)

  title('Carol is left to her identity provider, as long as she has no local account.')
  await decisionOf(origin, 'Carol', carol)
  await decisionOf(origin, 'Carol, with a password now', token('carol', { accounts: ['sso', 'local'] }))
  say()
}

async function decisionOf (origin: string, name: string, bearer: string): Promise<void> {
  await call(origin, 'GET', '/mfa/status', bearer, undefined, ({ body: { decision: { action, reason, deadline, wouldBe } } }) =>
      `${name}: ${action} (${reason}${deadline === undefined ? '' : ` until ${deadline}`})${
        wouldBe === undefined ? '' : `; would be: ${wouldBe.action}`
      }`
  )
}

function refused ({ status, body }: Answer): string { return `${status} ${body.code}: ${body.detail}` }

function title (line: string): void { say(`\n${line}`) }

function token (sub: string, claims: Record<string, unknown>): string {
  const now = Math.floor(clock().getTime() / 1000)
  const { MFA_TEST_TOKEN_SECRET: key, MFA_TEST_ISSUER: iss, MFA_TEST_AUDIENCE: aud } = (service as Disposable).access
  return createSigner({ key, algorithm: 'HS256' })({
    iss,
    aud,
    sub,
    tenant: 'acme',
    amr: ['pwd'],
    auth_time: now,
    iat: now,
    exp: now + 900,
    ...claims
  })
}

async function call (
  origin: string,
  method: string,
  path: string,
  bearer: string,
  body: unknown,
  tellAnswer: (answer: Answer) => string,
  expected?: number
): Promise<Answer> {
  const response = await fetch(origin + path, {
    method,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  const answer = { status: response.status, body: text === '' ? {} : JSON.parse(text) as Record<string, any> }
  say(`  ${method} ${path} → ${response.status}`)
  say(`    ${tellAnswer(answer)}`)
  if (response.status >= 400 && response.status !== 422 && response.status !== expected) throw new Error(`${method} ${path}: ${text}`)
  return answer
}
