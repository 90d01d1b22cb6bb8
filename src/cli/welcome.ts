/** What a developer needs after a start: where it is, and four lines that work when pasted. */
export function printWelcome (origin: string, hasDocs: boolean): void {
  const lines = [
    '',
    `  Headless MFA   ${origin}`,
    ...(hasDocs ? [`  Console        ${origin}/docs`] : []),
    '',
    '  TOKEN=$(npm run --silent token -- --sub alice)',
    `  curl -s ${origin}/mfa/status -H "Authorization: Bearer $TOKEN"`,
    `  curl -s -X POST ${origin}/mfa/enroll -H "Authorization: Bearer $TOKEN"`,
    `  curl -s ${origin}/mfa/factors -H "Authorization: Bearer $TOKEN"`,
    `  curl -s ${origin}/.well-known/jwks.json`,
    '',
    '  The whole walk, from the QR code to a recovery code, is in README.md. Ctrl-C stops.',
    ''
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
