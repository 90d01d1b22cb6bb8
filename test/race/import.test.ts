// An import beside the same user's own enrollment, at two processes: one of the two counts, whole.
import { Secret } from 'otpauth'
import t from 'tap'
import { readOtpauthCsv } from '../../src/import/otpauth-csv.ts'
import { planImport } from '../../src/import/plan.ts'
import { importUsers } from '../../src/import/run.ts'
import { startReplicas } from '../helpers/replica.ts'
import { callTo, ISSUER } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const replicas = await startReplicas(t, service)
const calls = replicas.urls.map(callTo)

t.test('of imports and a confirmation at once either all imports find the user enrolled, or the confirmation needs a second ' +
  'factor', async t => {
  const seen = new Set<string>()
  for (let round = 0; round < 6; round++) {
    const user = service.user()
    const secret = new Secret({ size: 20 }).base32
    const { body: { factorId, secret: own } } = await user.call('POST', '/mfa/enroll')
    const target = { source: 'otpauth-csv', tenant: user.tenant, namespace: ISSUER, subject: 'id' as const }
    const bring = async (): Promise<string | undefined> => {
      const { users } = planImport(readOtpauthCsv(`subject,account,otpauth\n${user.sub},x,otpauth://totp/x?secret=${secret}`), target)
      const lines = importUsers(users, {
        db: service.db,
        ring: () => service.secrets.sealing,
        peppers: () => service.secrets.peppers,
        target,
        isDry: false,
        clock: service.clock.read
      })
      return (await lines.next()).value?.outcome
    }
    const confirm = (index: number): Promise<number> =>
      (calls[index % 2] as typeof service.call)('POST', '/mfa/enroll/confirm', {
        token: user.token(),
        body: { factorId, code: service.clock.code(own) }
      }).then(({ status }) => status)
    await replicas.syncClocks()
    // Now the one has a head start, now the other.
    const [imports, confirms] = round % 2 === 0
      ? await Promise.all([Promise.all([bring(), bring(), bring()]), Promise.all([confirm(0), confirm(1)])])
      : await Promise.all([confirm(0), confirm(1)]).then(async first => [await Promise.all([bring(), bring()]), first] as const)
    const factors = await service.db.rows<{ id: string, label: string }>`SELECT id::text, label FROM factors WHERE tenant = ${user.tenant}`
    const sets = await service.db.rows`SELECT 1 FROM recovery_sets WHERE tenant = ${user.tenant}`
    if (confirms.includes(200)) {
      t.ok(imports.every(outcome => outcome === 'enrolled'), imports.join())
      t.match([factors, sets.length], [[{ id: factorId }], 1])
      seen.add('confirmed')
    } else {
      t.same([imports.filter(outcome => outcome === 'imported').length, imports.filter(outcome => outcome === 'already').length], [
        1,
        imports.length - 1
      ])
      t.ok(confirms.every(status => status === 401 || status === 422 || status === 503), confirms.join())
      t.equal(sets.length, 0)
      seen.add('imported')
    }
    t.equal(factors.length, 1, 'one authenticator')
    const { epoch, revision } = await user.row()
    t.same([epoch, revision], [1, 2])
  }
  t.ok(seen.has('confirmed'))
})
