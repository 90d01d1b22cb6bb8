/** What a user prints or saves: which service, whose codes, when, and what to do with them. */
export const recoverySheet = (issuer: string, account: string, codes: string[], now: Date): string => [
  `${issuer}: recovery codes`,
  '',
  `Account: ${account}`,
  `Made:    ${now.toISOString().slice(0, 10)}`,
  '',
  ...codes.map((code, index) => `${String(index + 1).padStart(2)}.  ${code}`),
  '',
  'Each code works once, in place of the code of your authenticator app:',
  'when the phone is lost, the app is gone, or for any other reason.',
  'Keep them apart from your password, as a file and on paper.',
  'They replace all codes from before, and are never shown again.',
  ''
].join('\n')
