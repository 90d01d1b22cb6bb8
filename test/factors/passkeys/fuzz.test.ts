// Whatever comes as an answer of a passkey is refused or malformed, and never a failure of ours: bytes that flip, CBOR and JSON that are
// none, authenticators that lie. `FUZZ_CALLS=10000 npm test -- --timeout=600 test/factors/passkeys/fuzz.test.ts` for more of them.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { RelyingParty } from '../../../src/config/passkeys.ts'
import { readAssertion, readRegistration } from '../../../src/factors/passkeys/answer.ts'
import { Authenticator, cbor, type CredentialJson, type Traits } from '../../helpers/authenticator.ts'
import { Chance } from '../../helpers/fuzz.ts'
import { answerChallenge, enrollPasskey, PASSKEYS, startPasskey } from '../../helpers/passkeys.ts'
import { startService } from '../../helpers/service.ts'

const CALLS = Number(process.env.FUZZ_CALLS ?? 600)
const PURE = 10_000
const CAUSES = ['unknown', 'handle', 'challenge', 'origin', 'frame', 'rp', 'user', 'flags', 'signature']

const LIES: Array<Partial<Traits>> = [
  { isPresent: false }, { isVerified: false }, { isBackedUp: true }, { isEligible: true }, { counter: 2 ** 32 - 1 },
  { rpId: 'evil.example' }, { origin: 'https://evil.example' },
  { userHandle: '' }, { userHandle: 'AAAA' }, { clientData: { crossOrigin: true } }, { clientData: { type: 'webauthn.create' } },
  { clientData: { challenge: '' } }, { clientData: { tokenBinding: { status: 'x' } } }, { clientData: { tokenBinding: 7 } }
]

/** Bytes that are hardly what they were. */
function broken (chance: Chance, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = chance.below(copy.length)
  switch (chance.below(6)) {
    case 0: copy[at]! ^= 1 << chance.below(8); return copy
    case 1: return copy.subarray(0, at)
    case 2: return Buffer.concat([copy.subarray(0, at), randomBytes(chance.below(40)), copy.subarray(at)])
    case 3: return Buffer.alloc(chance.below(9000), chance.pick([0x81, 0x9f, 0xbf, 0xa1, 0x5b, 0xff, 0x7b]))
    case 4: return chance.pick([
      cbor(new Map([['authData', Buffer.alloc(chance.below(200), 0x41)]])), cbor('x'), cbor(-7),
      ...['null', '{"type":"webauthn.get"}', '[[[[', '\ufeff{}'].map(text => Buffer.from(text))
    ])
    default: copy.fill(chance.below(256), at, Math.min(copy.length, at + chance.below(40))); return copy
  }
}

function fuzzed (chance: Chance, credential: CredentialJson): CredentialJson {
  const copy = structuredClone(credential)
  for (let left = chance.below(3); left >= 0; left--) {
    const name = chance.pick(Object.keys(copy.response).filter(each => typeof copy.response[each] === 'string'))
    if (chance.is(0.1)) copy.id = chance.pick(['x', copy.id.slice(1), `${copy.id}A`, '\u0000', '😀'])
    else {
      const bytes = broken(chance, Buffer.from(copy.response[name], 'base64url'))
      copy.response[name] = bytes.toString(chance.is(0.9) ? 'base64url' : 'latin1')
    }
  }
  return copy
}

t.test(`${PURE} answers are judged, and none throws`, async t => {
  const origins = ['https://app.example.com']
  const relyingParty: RelyingParty = { tenants: '*', rpId: 'example.com', name: '', origins, userVerification: 'required' }
  const chance = new Chance(1)
  const challenge = randomBytes(56)
  const creation = { rp: { id: 'example.com' }, user: { id: 'AAAA' }, pubKeyCredParams: [{ alg: -7 }], excludeCredentials: [] }
  const asked = { challenge: challenge.toString('base64url'), rpId: 'example.com', ...creation }
  const expected = { relyingParty, findChallengeFault: (given: Buffer) => given.equals(challenge) ? null : 'challenge' as const }
  const authenticator = new Authenticator()
  const made = authenticator.create(asked)
  const { publicKey } = await readRegistration(made as never, expected) as { publicKey: Buffer }
  const answer = authenticator.get({ ...asked, allowCredentials: [{ id: made.id }] }, { userHandle: null })
  const userId = '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3'
  const seen = new Map<string, number>()
  for (let n = 0; n < PURE; n++) {
    const outcome = n % 2 === 0
      ? await readRegistration(fuzzed(chance, made) as never, expected)
      : await readAssertion(fuzzed(chance, answer) as never, { userId, publicKey, wasEligible: chance.is(0.1) }, expected)
    const name = typeof outcome === 'string' ? outcome : 'accepted'
    seen.set(name, (seen.get(name) ?? 0) + 1)
  }
  t.ok([...seen.keys()].every(name => name === 'accepted' || CAUSES.includes(name)), JSON.stringify([...seen]))
  t.ok((seen.get('accepted') ?? 0) < PURE / 5, 'few are as good as before')
})

t.test(`${CALLS} answers over HTTP, and no failure of ours`, { timeout: 60_000 + CALLS * 60 }, async t => {
  const service = await startService(t, { ...PASSKEYS, LOG_LEVEL: 'silent' })
  const chance = new Chance(2)
  const statuses = new Map<number, number>()
  const lane = async (calls: number): Promise<void> => {
    const user = service.user()
    const { authenticator } = await enrollPasskey(user)
    const other = service.user()
    let started = await startPasskey(other)
    for (let n = 0; n < calls; n++) {
      if (n % 4 === 3) started = await startPasskey(other).catch(() => started)
      const isUse = chance.is(0.7)
      const lie = chance.pick(LIES)
      const good = isUse ? await answerChallenge(user, authenticator, lie) : new Authenticator(lie).create(started.options)
      const credential = chance.is(0.8) ? fuzzed(chance, good) : good
      const { status, text } = isUse
        ? await user.call('POST', '/mfa/passkeys/verify', { credential })
        : await other.call('POST', '/mfa/passkeys/confirm', { factorId: started.factorId, credential })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status >= 500) t.fail(`${status}: ${text}`)
    }
  }
  await Promise.all(Array.from({ length: 4 }, () => lane(CALLS / 4)))
  t.ok([...statuses.keys()].every(status => [200, 400, 401, 404, 413, 422].includes(status)), JSON.stringify([...statuses]))
  t.ok((statuses.get(422) ?? 0) > CALLS / 3)
})
