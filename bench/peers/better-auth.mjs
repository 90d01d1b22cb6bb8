// better-auth with its two-factor plugin, as its documentation sets it up. One user enrolls; the others are copies of them.
// Told how many sign-ins are wanted, it does the first step of each, and answers the cookies that the second step needs.
import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { twoFactor } from 'better-auth/plugins'
import pg from 'pg'

const { PORT, DATABASE_URL } = process.env
const baseURL = `http://127.0.0.1:${PORT}`
const PASSWORD = 'correct horse battery staple'
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 })
const auth = betterAuth({
  baseURL,
  secret: 'a secret of the benchmark, 32 characters and more',
  database: pool,
  // The first step is not what is measured: its hash need not take its time.
  emailAndPassword: {
    enabled: true,
    password: { hash: async password => `plain:${password}`, verify: async ({ hash, password }) => hash === `plain:${password}` }
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [twoFactor()]
})
const { runMigrations } = await getMigrations(auth.options)
await runMigrations()

async function call (path, body, cookie = '') {
  const response = await auth.handler(new Request(`${baseURL}/api/auth${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', origin: baseURL, cookie }, body: JSON.stringify(body)
  }))
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  const cookies = response.headers.getSetCookie().map(line => line.split(';')[0]).filter(pair => !pair.endsWith('='))
  return { cookie: cookies.join('; '), body: await response.json() }
}

const emailOf = n => `user-${n}@example.com`
const { cookie } = await call('/sign-up/email', { name: 'User', email: emailOf(0), password: PASSWORD })
const { body: { totpURI } } = await call('/two-factor/enable', { password: PASSWORD }, cookie)
const secret = new URL(totpURI).searchParams.get('secret')

process.on('message', async ({ enrolled, copies, signIns }) => {
  if (enrolled) {
    await call('/two-factor/verify-totp', { code: enrolled }, cookie)
    await pool.query(
      `INSERT INTO "user" SELECT c.* FROM "user" u, generate_series(1, ${copies}) AS n,
        LATERAL jsonb_populate_record(u, jsonb_build_object('id', 'copy-' || n, 'email', 'user-' || n || '@example.com')) AS c
        WHERE u.email = $1`,
      [emailOf(0)]
    )
    for (const table of ['account', 'twoFactor']) {
      await pool.query(
        `INSERT INTO "${table}" SELECT c.* FROM "${table}" a, generate_series(1, ${copies}) AS n,
          LATERAL jsonb_populate_record(a, jsonb_build_object('id', '${table}-' || n, 'userId', 'copy-' || n, 'accountId',
          'copy-' || n)) AS c`
      )
    }
    process.send({})
  } else {
    const found = []
    for (const n of signIns) found.push((await call('/sign-in/email', { email: emailOf(n), password: PASSWORD })).cookie)
    process.send({ cookies: found })
  }
})
process.on('disconnect', () => { process.exit() })
createServer(toNodeHandler(auth)).listen(Number(PORT), '127.0.0.1', () => { process.send({ url: baseURL, secret }) })
