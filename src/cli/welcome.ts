import type { Config } from '../config/config.ts'
import { isDevelopmentKey } from '../config/development-key.ts'

/** What a developer needs after a start: where it is, what its tokens and those that it takes say, and lines that work when pasted. */
export function printWelcome (origin: string, config: Config, env: NodeJS.ProcessEnv): void {
  const { DOCS, MFA_ISSUER, MFA_AUDIENCE, MFA_APPLICATION_AUDIENCES: applications, ISSUERS } = config
  const taken = ISSUERS.map((issuer, index) =>
    `${index === 0 ? 'It takes        ' : '                '}iss ${issuer.issuer}   aud ${issuer.audiences.join(' or ')}   ${
      keyOf(issuer, env)
    }`
  )
  const lines = [
    '',
    `  Headless MFA    ${origin}`,
    ...(DOCS ? [`  Console         ${origin}/docs`] : []),
    `  Its own tokens  iss ${MFA_ISSUER}   aud ${[MFA_AUDIENCE, ...applications].join(' or ')}`,
    ...taken.map(line => `  ${line}`),
    '',
    '  TOKEN=$(npm run --silent token -- --sub alice)',
    `  curl -s ${origin}/mfa/status -H "Authorization: Bearer $TOKEN"`,
    `  curl -s -X POST ${origin}/mfa/enroll -H "Authorization: Bearer $TOKEN"`,
    `  curl -s ${origin}/mfa/factors -H "Authorization: Bearer $TOKEN"`,
    `  curl -s ${origin}/.well-known/jwks.json`,
    '',
    '  From the QR code to a recovery code in ten minutes: docs/getting-started.md. npm run reset starts over. Ctrl-C stops.',
    ''
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Where the key of its tokens is; never the key. */
function keyOf ({ algorithms, jwksUrl }: Config['ISSUERS'][number], env: NodeJS.ProcessEnv): string {
  if (jwksUrl !== undefined) return `keys at ${jwksUrl}`
  const file = env.TRUSTED_ISSUERS_FILE ?? env.JWT_PUBLIC_KEY_FILE ?? env.JWT_SECRET_FILE
  if (file !== undefined) return `${algorithms.join(', ')}, key of ${file}`
  return `${algorithms.join(', ')}, key JWT_SECRET${
    isDevelopmentKey(Buffer.from(env.JWT_SECRET as string, 'base64')) ? ' of .data/keys.json' : ''
  }`
}
