import { parseArgs } from 'node:util'
import { createSigner } from 'fast-jwt'
import { DATA_DIR, DEV_AUDIENCE, DEV_ISSUER, developmentKeys } from '../dev.ts'

const USAGE = 'npm run token -- --sub alice [--tenant acme] [--roles mfa:admin,…] [--groups …] [--accounts local,sso] [--amr pwd] [--sid …] [--email …] [--auth-age 0s] [--ttl 15m]'

/** Seconds of `90s`, `15m`, `2h`, `1d`. */
function seconds (text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text)
  if (match === null) throw new Error(`not a duration: use 90s, 15m, 2h or 1d\n${USAGE}`)
  return Number(match[1]) * { s: 1, m: 60, h: 3600, d: 86400 }[match[2] as 's' | 'm' | 'h' | 'd']
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').filter(part => part !== '')

/** A first-factor token of the development issuer, as `npm start` accepts it. */
function main (): void {
  const { values } = parseArgs({
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
  if (values.sub === undefined || values.sub === '') throw new Error(`--sub is missing\n${USAGE}`)
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
    auth_time: now - seconds(values['auth-age']),
    iat: now,
    exp: now + seconds(values.ttl)
  }
  process.stdout.write(`${sign(Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined)))}\n`)
}

try { main() } catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
}
