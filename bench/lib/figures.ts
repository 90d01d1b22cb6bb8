/** What results.json holds: each a number, or null where it was not measured. */
export const FIGURES = [
  'verifyOfPgbench', 'verifyOfBetterAuth', 'verifyCpuMs', 'verifyMillionOfThousand', 'p99MillionOfThousand', 'authorizeOfBareFastify',
  'authorizeSessionOfBareFastify',
  'recoveryOfBcrypt',
  'verifyP99UnderRecovery',
  'confirmBlockMs',
  'confirmUnderAttack',
  'othersP99UnderAttack',
  'floodMiB',
  'authorizeP99UnderFlood',
  'fourReplicasOfOne',
  'readyMs',
  'idleMiB',
  'busyMiB',
  'previewMs',
  'usersPageMs',
  'statsMs',
  'auditPageMs',
  'citusVerifyOfUpdate'
] as const

export type FigureName = typeof FIGURES[number]

export function median (values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] as number : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Of sorted values. */
export const percentile = (sorted: ArrayLike<number>, percent: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percent / 100))] ?? NaN

/** Three digits that say something. */
export const short = (value: number): string =>
  Number.isInteger(value) || Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en').replaceAll(',', ' ')
    : value.toPrecision(value >= 10 ? 3 : 2)
