import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { webhookSecret } from '../helpers/webhook-endpoint.ts'
import { testEnvironment } from '../helpers/service.ts'

const messageOf = (env: Record<string, string | undefined>): string => {
  try { readConfig({ ...testEnvironment(), ...env }) } catch (error) { return (error as Error).message }
  return 'accepted'
}

function refuses (t: Test, env: Record<string, string | undefined>, message: string): void {
  t.equal(messageOf(env), message, JSON.stringify(env))
}

const WEBHOOK_SECRET = webhookSecret()
const WEBHOOK_URL = 'https://hooks.example.com/mfa'
const secretOf = (bytes: number): string => `whsec_${randomBytes(bytes).toString('base64')}`

t.test('an endpoint and its secret: both or neither', t => {
  t.match(readConfig({ ...testEnvironment(), WEBHOOK_URL, WEBHOOK_SECRET }), {
    WEBHOOK_URL,
    WEBHOOK_SECRET: [WEBHOOK_SECRET],
    WEBHOOK_ALLOW_PRIVATE: false
  })
  refuses(t, { WEBHOOK_URL }, 'WEBHOOK_SECRET is missing where WEBHOOK_URL is set')
  refuses(t, { WEBHOOK_SECRET }, 'WEBHOOK_URL is missing where WEBHOOK_SECRET is set')
  const dir = t.testdir({ secret: `${WEBHOOK_SECRET}\n` })
  t.same(readConfig({ ...testEnvironment(), WEBHOOK_URL, WEBHOOK_SECRET_FILE: `${dir}/secret` }).WEBHOOK_SECRET, [WEBHOOK_SECRET])
  t.end()
})

t.test('an address that is not for everyone, and http, only where that is allowed', t => {
  for (const url of ['http://hooks.example.com/', 'HTTP://hooks.example.com']) {
    refuses(t, { WEBHOOK_URL: url, WEBHOOK_SECRET }, 'WEBHOOK_URL must begin with https: (or set WEBHOOK_ALLOW_PRIVATE)')
    refuses(t, { WEBHOOK_URL: url, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'on' }, 'accepted')
  }
  for (
    const host of [
      '127.0.0.1',
      '0x7f.1',
      '2130706433',
      '10.1.2.3',
      '169.254.169.254',
      '100.64.0.1',
      '0.0.0.0',
      '[::1]',
      '[::ffff:10.0.0.1]',
      '[fd00::1]',
      '[fe80::1]',
      '[64:ff9b::a00:1]',
      'localhost'
    ]
  ) {
    refuses(
      t,
      { WEBHOOK_URL: `https://${host}:8443/`, WEBHOOK_SECRET },
      'WEBHOOK_URL has an address that is not public (or set WEBHOOK_ALLOW_PRIVATE)'
    )
    refuses(t, { WEBHOOK_URL: `https://${host}:8443/`, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'on' }, 'accepted')
  }
  for (const host of ['8.8.8.8', '[2606:4700::1111]', 'intranet', 'a.example.com:8443']) {
    refuses(t, { WEBHOOK_URL: `https://${host}/`, WEBHOOK_SECRET }, 'accepted')
  }
  t.end()
})

t.test('what is no webhook URL is refused', t => {
  for (const allowed of ['on', 'off']) {
    const env = { WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: allowed }
    refuses(t, { ...env, WEBHOOK_URL: 'hooks.example.com' }, 'WEBHOOK_URL is not a URL')
    for (const url of ['ftp://hooks.example.com/', 'file:///etc/passwd', 'gopher://hooks.example.com']) {
      refuses(t, { ...env, WEBHOOK_URL: url }, 'WEBHOOK_URL must begin with https: or http:')
    }
    for (
      const url of ['https://user:word@hooks.example.com/', 'https://user@hooks.example.com/', 'https://:word@hooks.example.com/']
    ) { refuses(t, { ...env, WEBHOOK_URL: url }, 'WEBHOOK_URL holds a user or a password') }
    refuses(t, { ...env, WEBHOOK_URL: `${WEBHOOK_URL}#x` }, 'WEBHOOK_URL holds a fragment')
  }
  refuses(
    t,
    { WEBHOOK_URL, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'perhaps' },
    'WEBHOOK_ALLOW_PRIVATE is none of true, on, 1, false, off, 0'
  )
  t.end()
})

t.test('a secret is whsec_ and 24 to 64 random bytes, no key of another purpose; several while it is changed', t => {
  for (const bytes of [24, 32, 64]) refuses(t, { WEBHOOK_URL, WEBHOOK_SECRET: secretOf(bytes) }, 'accepted')
  for (const bytes of [1, 23, 65]) {
    refuses(t, { WEBHOOK_URL, WEBHOOK_SECRET: secretOf(bytes) }, `WEBHOOK_SECRET has ${bytes} bytes where 24 to 64 are needed`)
  }
  for (
    const secret of [
      'x',
      'whsec_*',
      WEBHOOK_SECRET.slice(6),
      WEBHOOK_SECRET.slice(0, -1),
      'whsec_abcde',
      `${WEBHOOK_SECRET},`,
      `${WEBHOOK_SECRET};${WEBHOOK_SECRET}`
    ]
  ) refuses(t, { WEBHOOK_URL, WEBHOOK_SECRET: secret }, 'WEBHOOK_SECRET is not of the form whsec_base64')
  refuses(
    t,
    { WEBHOOK_URL, WEBHOOK_SECRET: `whsec_${Buffer.from('changemechangemechangeme').toString('base64')}` },
    'WEBHOOK_SECRET contains the word "changeme" and looks like a placeholder. Make one: echo "whsec_$(openssl rand -base64 32)"'
  )
  refuses(
    t,
    { WEBHOOK_URL, WEBHOOK_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}` },
    'WEBHOOK_SECRET repeats a few characters and looks like a placeholder. Make one: echo "whsec_$(openssl rand -base64 32)"'
  )
  const env = testEnvironment()
  t.match(
    messageOf({ ...env, WEBHOOK_URL, WEBHOOK_SECRET: `whsec_${(env.MFA_PEPPERS as string).replace('p1:', '')}` }),
    /^WEBHOOK_SECRET holds a key of MFA_PEPPERS too/
  )
  const older = webhookSecret()
  t.same(readConfig({ ...testEnvironment(), WEBHOOK_URL, WEBHOOK_SECRET: `${WEBHOOK_SECRET}, ${older}` }).WEBHOOK_SECRET, [
    WEBHOOK_SECRET,
    older
  ])
  t.end()
})
