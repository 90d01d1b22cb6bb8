// What a browser hands over is judged by ten checks, nine of them here: which one refuses it is for the audit alone, and each is tried.
// The tenth, that an answer counts once, is the database's.
import { readFileSync } from 'node:fs'
import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import type { RelyingParty } from '../../../src/config/passkeys.ts'
import { type Expected, readAssertion, type Registered, readRegistration } from '../../../src/factors/passkeys/answer.ts'
import { handleOf, toText } from '../../../src/factors/passkeys/passkey.ts'
import { Authenticator, cbor, type CredentialJson, type Traits } from '../../helpers/authenticator.ts'

const PARTY: RelyingParty = {
  tenants: '*',
  rpId: 'example.com',
  name: 'Example',
  origins: ['https://app.example.com', 'https://related.example.org'],
  userVerification: 'required'
}
const USER = randomUUID()

const expecting = (challenge: Buffer, relyingParty = PARTY): Expected => ({
  relyingParty,
  findChallengeFault: given => given.equals(challenge) ? null : 'challenge'
})
const refs = (authenticator: Authenticator): Array<{ id: string }> => [...authenticator.kept.keys()].map(id => ({ id }))

function created (
  traits: Partial<Traits> = {},
  authenticator = new Authenticator(),
  algorithms = [-7, -8, -257]
): { authenticator: Authenticator, challenge: Buffer, credential: CredentialJson } {
  const challenge = randomBytes(32)
  const options = {
    rp: { id: 'example.com' },
    user: { id: toText(handleOf(USER)) },
    challenge: toText(challenge),
    pubKeyCredParams: algorithms.map(alg => ({ alg })),
    excludeCredentials: []
  }
  return { authenticator, challenge, credential: authenticator.create(options, traits) }
}

async function register (
  traits: Partial<Traits> = {},
  authenticator = new Authenticator(),
  relyingParty = PARTY,
  change: (credential: any) => void = () => {}
): Promise<Registered | string> {
  const { challenge, credential } = created(traits, authenticator)
  change(credential)
  return await readRegistration(credential as never, expecting(challenge, relyingParty))
}

const good = async (
  traits: Partial<Traits> = {},
  authenticator = new Authenticator()
): Promise<{ authenticator: Authenticator, made: Registered }> => ({
  authenticator,
  made: await register(traits, authenticator) as Registered
})

/** An answer of an authenticator that is good otherwise. */
async function prove (
  lies: Partial<Traits> = {},
  change: (credential: any) => void = () => {},
  { relyingParty = PARTY, wasEligible = false, traits = {} }: {
    relyingParty?: RelyingParty,
    wasEligible?: boolean,
    traits?: Partial<Traits>
  } = {}
): Promise<unknown> {
  const { authenticator, made } = await good(traits)
  const challenge = randomBytes(56)
  const credential = authenticator.get({ rpId: 'example.com', challenge: toText(challenge), allowCredentials: refs(authenticator) }, lies)
  change(credential)
  const answer = await readAssertion(
    credential as never,
    { userId: USER, publicKey: made.publicKey, wasEligible },
    expecting(challenge, relyingParty)
  )
  return typeof answer === 'string' ? answer : { ...answer, challenge: answer.challenge.equals(challenge) }
}

t.test('a passkey registers and answers, by each algorithm that is asked for', async t => {
  for (const algorithm of [-7, -8, -257]) {
    const made = await register({ algorithm, aaguid: 'bada5566-a7aa-401f-bd96-45619a55120d', isEligible: true, isBackedUp: true })
    t.match(
      made,
      { counter: 0, isEligible: true, aaguid: 'bada5566-a7aa-401f-bd96-45619a55120d', transports: ['internal'] },
      `${algorithm}`
    )
    t.same(await prove({}, undefined, { traits: { algorithm } }), { challenge: true, counter: 1, isEligible: false })
  }
  t.equal(await register({ algorithm: -35 }), 'signature', 'another algorithm is refused, though the library knows it')
})

t.test('a key is as large as an authenticator makes it: what is padded, or takes long to compute with, registers nothing', async t => {
  const lies: Record<string, [number, Array<[number, unknown]>]> = {
    'ES256 with a member of its own': [-7, [[-70_000, Buffer.alloc(300)]]],
    'ES256 with a long y': [-7, [[-3, Buffer.alloc(33)]]],
    'ES256 without y': [-7, [[-3, Buffer.alloc(0)]]],
    'ES256 of another curve': [-7, [[-1, 2]]],
    'EdDSA with a member of its own': [-8, [[-70_000, Buffer.alloc(300)]]],
    'EdDSA with a long x': [-8, [[-2, Buffer.alloc(33)]]],
    'RS256 of 8192 bits': [-257, [[-1, Buffer.alloc(1024, 255)]]],
    'RS256 of 1024 bits': [-257, [[-1, Buffer.alloc(128, 255)]]],
    'RS256 with a long exponent': [-257, [[-2, Buffer.alloc(300, 255)]]],
    'RS256 with a member of its own': [-257, [[-70_000, Buffer.alloc(900)]]],
    'a type of key that no algorithm has': [-7, [[1, 9]]]
  }
  for (const [name, [algorithm, key]] of Object.entries(lies)) t.equal(await register({ algorithm, key }), 'signature', name)
})

t.test('what the browser signed with is read as strictly as it is checked', async t => {
  const loose = (credential: any): void => { credential.response.clientDataJSON = `${credential.response.clientDataJSON as string}=` }
  t.equal(await register({}, undefined, undefined, loose), 'challenge')
  t.equal(await prove({}, loose), 'challenge')
})

t.test('the vectors of the standard: all that we ask for register and answer, whatever their attestation', async t => {
  const { vectors } = JSON.parse(readFileSync('test/factors/passkeys/vectors.json', 'utf8'))
  const relyingParty: RelyingParty = {
    tenants: '*',
    rpId: 'example.org',
    name: '',
    origins: ['https://example.org'],
    userVerification: 'preferred'
  }
  const refused: Record<string, string> = {
    'none-es256-crossOrigin': 'frame',
    'none-es256-topOrigin': 'frame',
    'packed-es384': 'signature',
    'packed-es512': 'signature',
    'packed-ed448': 'signature'
  }
  const text = (hex: string): string => toText(Buffer.from(hex, 'hex'))
  for (const { name, registration, authentication } of vectors) {
    const credential = (response: object): any => ({ id: text(registration.credentialId), type: 'public-key', response })
    const attested = credential({
      clientDataJSON: text(registration.clientDataJSON),
      attestationObject: text(registration.attestationObject)
    })
    const made = await readRegistration(attested, expecting(Buffer.from(registration.challenge, 'hex'), relyingParty))
    if (name in refused) {
      t.equal(made, refused[name], name)
      continue
    }
    const { id, publicKey, isEligible } = made as Registered
    t.equal(id.toString('hex'), registration.credentialId, name)
    const { challenge, ...response } = authentication
    const asserted = credential(
      Object.fromEntries(Object.entries(response as Record<string, string>).map(([member, hex]) => [member, text(hex)]))
    )
    const answer = await readAssertion(
      asserted,
      { userId: USER, publicKey, wasEligible: isEligible },
      expecting(Buffer.from(challenge, 'hex'), relyingParty)
    )
    t.match(answer, { isEligible }, name)
    asserted.response.signature = text(response.signature.replace(/..$/, (last: string) => last === '00' ? '01' : '00'))
    t.equal(
      await readAssertion(
        asserted,
        { userId: USER, publicKey, wasEligible: isEligible },
        expecting(Buffer.from(challenge, 'hex'), relyingParty)
      ),
      'signature'
    )
  }
  t.equal(vectors.length, 15)
})

t.test('what the browser says is held against what was asked, and not against what is said beside it', async t => {
  const lies: Array<[string, Partial<Traits>]> = [
    ['challenge', { clientData: { challenge: toText(randomBytes(56)) } }],
    ['challenge', { clientData: { challenge: 'not base64url!' } }],
    ['challenge', { clientData: { challenge: 7 } }],
    ['origin', { origin: 'https://evil.example' }],
    ['origin', { origin: 'https://app.example.com.evil.example' }],
    ['origin', { origin: 'https://app.example.com:8443' }],
    ['origin', { clientData: { origin: ['https://app.example.com'] } }],
    ['frame', { clientData: { crossOrigin: true } }],
    ['frame', { clientData: { crossOrigin: 'false' } }],
    ['frame', { clientData: { topOrigin: 'https://evil.example' } }],
    ['frame', { clientData: { crossOrigin: true, topOrigin: 'https://app.example.com' } }],
    ['rp', { rpId: 'evil.example' }],
    ['user', { isPresent: false }],
    ['user', { isVerified: false }],
    ['flags', { isBackedUp: true }]
  ]
  for (const [cause, lie] of lies) {
    t.equal(await prove(lie), cause, `at use: ${JSON.stringify(lie)}`)
    t.equal(await register(lie), cause, `at set-up: ${JSON.stringify(lie)}`)
  }
  t.equal(await prove({ clientData: { type: 'webauthn.create' } }), 'challenge', 'an answer of the other ceremony')
  t.equal(await register({ clientData: { type: 'webauthn.get' } }), 'challenge')
  t.match(await prove({ origin: 'https://related.example.org' }), { counter: 1 })
  t.match(
    await prove({ clientData: { crossOrigin: undefined, more: { is: 'ignored' } } }),
    { counter: 1 },
    'an old browser says nothing of frames'
  )
})

t.test('where verification of the user is only preferred, presence is not', async t => {
  const relyingParty = { ...PARTY, userVerification: 'preferred' as const }
  t.match(await prove({ isVerified: false }, undefined, { relyingParty }), { counter: 1 })
  t.match(await register({ isVerified: false }, undefined, relyingParty), { counter: 0 })
  t.equal(await prove({ isPresent: false }, undefined, { relyingParty }), 'user')
  t.equal(await register({ isPresent: false }, undefined, relyingParty), 'user')
})

t.test('what may live on several devices is never again of one; the other way round it is told', async t => {
  t.equal(await prove({}, undefined, { wasEligible: true }), 'flags')
  t.match(await prove({ isEligible: true }, undefined, { wasEligible: true }), { isEligible: true })
  t.match(await prove({ isEligible: true }), { isEligible: true })
})

t.test('the user\'s handle is theirs, or none', async t => {
  t.equal(await prove({ userHandle: toText(handleOf(randomUUID())) }), 'handle')
  t.equal(await prove({ userHandle: 'x' }), 'handle')
  for (const userHandle of [null, '']) t.match(await prove({ userHandle }), { counter: 1 }, String(userHandle))
  t.match(await prove({}, ({ response }) => { delete response.userHandle }), { counter: 1 })
})

t.test('without a signature of its key nothing is accepted, and nothing throws', async t => {
  const flip = (name: string, at: number) => ({ response }: any): void => {
    const bytes = Buffer.from(response[name], 'base64url')
    bytes[at < 0 ? bytes.length + at : at]! ^= 1
    response[name] = toText(bytes)
  }
  t.equal(await prove({}, flip('signature', -1)), 'signature')
  t.equal(await prove({}, flip('authenticatorData', -1)), 'signature', 'the counter is signed')
  t.equal(await prove({}, ({ response }) => { response.signature = toText(Buffer.alloc(70)) }), 'signature')
  t.equal(await prove({}, ({ response }) => { response.signature = 'A' }), 'signature')
  t.equal(await prove({}, ({ response }) => { response.authenticatorData = 'A' }), 'rp')
  t.equal(
    await prove({}, ({ response }) => {
      response.authenticatorData = toText(Buffer.from(response.authenticatorData, 'base64url').subarray(0, 32))
    }),
    'user'
  )
  t.equal(
    await prove({}, ({ response }) => {
      response.authenticatorData = toText(Buffer.from(response.authenticatorData, 'base64url').subarray(0, 36))
    }),
    'signature'
  )
  t.equal(
    await prove({}, ({ response }) => {
      response.clientDataJSON = toText(Buffer.concat([Buffer.from(response.clientDataJSON, 'base64url'), Buffer.from(' ')]))
    }),
    'signature'
  )
  t.equal(await prove({}, ({ response }) => { response.signature = 7 }), 'signature', 'nor does anything that no schema lets pass')
})

t.test('garbage is refused: what is no JSON, no object, no CBOR, nested too deep, or of another id', async t => {
  for (const text of ['', 'null', '7', '"x"', '[]', '{', '{"type":null}', '['.repeat(6000)]) {
    t.equal(await prove({}, ({ response }) => { response.clientDataJSON = toText(Buffer.from(text)) }), 'challenge', text.slice(0, 10))
    t.equal(
      await register({}, undefined, undefined, ({ response }) => {
        response.clientDataJSON = toText(Buffer.from(text))
      }),
      'challenge'
    )
  }
  const nested = Buffer.concat([Buffer.alloc(12_000, 0x81), Buffer.of(0)])
  for (const bytes of [Buffer.of(0xff), Buffer.of(0x80), nested, cbor(new Map([['fmt', 'none']])), cbor(new Map([['authData', 7]]))]) {
    t.equal(await register({}, undefined, undefined, ({ response }) => { response.attestationObject = toText(bytes) }), 'signature')
  }
  const bare = cbor(new Map<string, unknown>([['fmt', 'none'], ['attStmt', new Map()], ['authData', Buffer.alloc(37)]]))
  t.equal(await register({}, undefined, undefined, ({ response }) => { response.attestationObject = toText(bare) }), 'rp')
  t.equal(
    await register({}, undefined, undefined, credential => {
      credential.id = toText(randomBytes(32))
    }),
    'unknown',
    'the id of another'
  )
  t.equal(await register({}, undefined, undefined, credential => { credential.id += '=' }), 'unknown', 'the same id in other letters')
  t.match(await register({ idBytes: 1023 }), { counter: 0 })
  t.equal(await register({ idBytes: 1024 }), 'unknown')
})

t.test('what a browser says of the way to a passkey is kept as far as it is a word', async t => {
  const transports = [
    'usb',
    'usb',
    'not a word',
    ...Array.from({ length: 20 }, (_, n) => `way-${'abcdefghijklmnopqrstuvwxyz'[n] as string}`)
  ]
  const made = await register({}, undefined, undefined, ({ response }) => { response.transports = transports }) as Registered
  t.equal(made.transports.length, 10)
  t.same(made.transports.slice(0, 2), ['usb', 'way-a'])
  t.match(await register({}, undefined, undefined, ({ response }) => { delete response.transports }), { transports: [] })
})
