import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { seal } from '../../../src/keys/seal.ts'
import { DEFAULT_PARAMETERS, generateSecret, TOTP_KIND, type TotpFactor } from '../../../src/factors/totp/totp.ts'
import { verifyCode, type VerifySettings } from '../../../src/factors/totp/verify.ts'
import { NOW, aUser } from '../../helpers/snapshot.ts'

const ROUNDS = 21
const CALLS = 40

t.test('a factor that is not theirs takes as long to refuse as one of theirs', async t => {
  const user = aUser()
  const settings: VerifySettings = { window: '1', ring: { primary: 'k', keys: new Map([['k', randomBytes(32)]]) } }
  const id = randomUUID()
  const sealed = seal(
    settings.ring,
    { ...DEFAULT_PARAMETERS, kind: TOTP_KIND, tenant: user.tenant, userId: user.userId, factorId: id },
    generateSecret()
  )
  const factor: TotpFactor = {
    ...DEFAULT_PARAMETERS,
    ...sealed,
    id,
    kind: TOTP_KIND,
    label: 'phone',
    counter: 0,
    createdAt: NOW,
    confirmedAt: NOW,
    lastUsedAt: null,
    afterRecoveryAt: null,
    credential: null
  }
  const cpuOf = (factors: TotpFactor[]): number => {
    const before = process.cpuUsage()
    for (let call = 0; call < CALLS; call++) verifyCode(user, factors, 'no code', NOW, settings)
    const { user: used, system } = process.cpuUsage(before)
    return used + system
  }
  t.equal(verifyCode(user, [factor], 'no code', NOW, settings).outcome, 'refused')
  const ratios = Array.from({ length: ROUNDS }, () => cpuOf([]) / cpuOf([factor])).sort((one, other) => one - other)
  const median = ratios[ROUNDS >> 1] as number
  t.ok(median > 0.5 && median < 2, `the one takes ${median.toFixed(2)} of the other`)
})
