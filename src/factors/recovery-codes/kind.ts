import type { ProofKind } from '../factor-kind.ts'

/** What stands for a factor that is lost: a recovery code, or a code of an administrator, which is proved by the same call. */
export const recoveryCodes: ProofKind = {
  kind: 'recovery',
  amr: ['recovery'],
  acr: 'mfa-recovery',
  audit: { accepted: ['recovery.accepted', 'bypass.used'], refused: ['recovery.refused'], told: [] }
}
