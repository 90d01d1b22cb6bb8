import { createSigner } from 'fast-jwt'
import { DATA_DIR, DEV_AUDIENCE, DEV_ISSUER, developmentKeys } from '../config/development.ts'
import { explain } from './explain.ts'
import { readOptions, refuseCall } from './options.ts'

const USAGE = `npm run token -- --sub SUB [options]
npm run token -- check [TOKEN] [--env-file FILE]      (check --help says more)

Prints a first-factor token of the development issuer, which \`npm start\` accepts. In production your login or your
identity provider makes such tokens.

  --sub SUB                the user
  --tenant acme            the organisation; by default: default
  --roles mfa:admin,…      mfa:admin, mfa:support, mfa:auditor, mfa:sync open the administration
  --groups staff,…         groups that a policy may be for
  --accounts local,sso     which accounts the user has
  --amr pwd                how they signed in
  --sid ID                 the login session
  --email ADDRESS          the name to show
  --auth-age 0s            how long ago they logged in: 90s, 15m, 2h or 1d
  --ttl 15m                how long the token is good`

/** Seconds of `90s`, `15m`, `2h`, `1d`. */
function seconds (option: string, text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text) ?? refuseCall(USAGE, `--${option} is no duration: 90s, 15m, 2h and 1d are.`)
  return Number(match[1]) * { s: 1, m: 60, h: 3600, d: 86400 }[match[2] as 's' | 'm' | 'h' | 'd']
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').filter(part => part !== '')

/** A first-factor token of the development issuer, as `npm start` accepts it. */
function make (): void {
  const { values } = readOptions(USAGE, {
    options: {
      sub: { type: 'string' },
      tenant: { type: 'string' },
      roles: { type: 'string' },
      groups: { type: 'string' },
      accounts: { type: 'string' },
      amr: { type: 'string', default: 'pwd' },
      sid: { type: 'string' },
      email: { type: 'string' },
      'auth-age': { type: 'string', default: '0s' },
      ttl: { type: 'string', default: '15m' }
    }
  })
  if (values.sub === undefined || values.sub === '') refuseCall(USAGE, '--sub is missing.')
  const now = Math.floor(Date.now() / 1000)
  const sign = createSigner({ key: developmentKeys(DATA_DIR).JWT_SECRET as string, algorithm: 'HS256' })
  const claims = {
    iss: DEV_ISSUER,
    aud: DEV_AUDIENCE,
    sub: values.sub,
    tenant: values.tenant,
    roles: list(values.roles),
    groups: list(values.groups),
    accounts: list(values.accounts),
    amr: list(values.amr),
    sid: values.sid,
    email: values.email,
    auth_time: now - seconds('auth-age', values['auth-age']),
    iat: now,
    exp: now + seconds('ttl', values.ttl)
  }
  process.stdout.write(`${sign(Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined)))}\n`)
}

try {
  const [command, ...args] = process.argv.slice(2)
  // Loaded only then: it has the whole service with it.
  if (command === 'check') await (await import('./token-check.ts')).runCheck(args)
  else make()
} catch (error) {
  process.stderr.write(`${explain(error, process.env)}\n`)
  process.exit(1)
}
