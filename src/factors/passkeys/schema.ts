import { type Static, Type } from 'typebox'
import {
  Audience,
  Label,
  NullableTime,
  Phr,
  recoveryCodesExample,
  RecoveryCodes,
  Time,
  tokenExample,
  tokenFields,
  Uuid
} from '../../http/schema.ts'

/** Base64url of bytes, which are looked at later: what does not open is refused like any other answer. */
const Bytes = (description: string) =>
  Type.String({
    minLength: 1,
    maxLength: 16_384,
    description: `${description}, base64url`,
    'x-message': 'must be base64url, and not empty'
  })
const Transports = Type.Array(Type.String({ maxLength: 64 }), { maxItems: 32, description: 'How the browser reached the authenticator' })

/** As a browser makes it (`toJSON()`): what else is in it is ignored. */
const credential = { id: Bytes('The id of the credential'), type: Type.Literal('public-key') }
const clientDataJSON = Bytes('What the browser has signed with')

const Registration = Type.Object({
  ...credential,
  response: Type.Object({ clientDataJSON, attestationObject: Bytes('What the authenticator made'), transports: Type.Optional(Transports) })
}, { additionalProperties: true, description: 'What `navigator.credentials.create()` gave, by `toJSON()`' })
export type Registration = Static<typeof Registration>

const Assertion = Type.Object({
  ...credential,
  response: Type.Object({
    clientDataJSON,
    authenticatorData: Bytes('What the authenticator says of itself'),
    signature: Bytes('Over both'),
    userHandle: Type.Optional(
      Type.Union([Type.String({ maxLength: 1024 }), Type.Null()], { description: 'The user, as the authenticator knows them' })
    )
  })
}, { additionalProperties: true, description: 'What `navigator.credentials.get()` gave, by `toJSON()`' })
export type Assertion = Static<typeof Assertion>

const CredentialRef = Type.Object({ type: Type.Literal('public-key'), id: Type.String(), transports: Type.Array(Type.String()) })
const UserVerification = Type.Enum(['required', 'preferred'])

const CreationOptions = Type.Object({
  rp: Type.Object({ id: Type.String(), name: Type.String() }),
  user: Type.Object({ id: Type.String(), name: Type.String(), displayName: Type.String() }),
  challenge: Type.String(),
  pubKeyCredParams: Type.Array(Type.Object({ type: Type.Literal('public-key'), alg: Type.Integer() })),
  timeout: Type.Integer(),
  excludeCredentials: Type.Array(CredentialRef),
  authenticatorSelection: Type.Object({
    residentKey: Type.Literal('preferred'),
    requireResidentKey: Type.Literal(false),
    userVerification: UserVerification
  }),
  attestation: Type.Literal('none')
}, { description: 'For `navigator.credentials.create()`: a `PublicKeyCredentialCreationOptionsJSON`' })
export type CreationOptions = Static<typeof CreationOptions>

const RequestOptions = Type.Object({
  rpId: Type.String(),
  challenge: Type.String(),
  timeout: Type.Integer(),
  allowCredentials: Type.Array(CredentialRef),
  userVerification: UserVerification
}, { description: 'For `navigator.credentials.get()`: a `PublicKeyCredentialRequestOptionsJSON`' })
export type RequestOptions = Static<typeof RequestOptions>

const FACTOR = '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11'
const id = '-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q'
const rp = { id: 'example.com', name: 'Headless MFA' }
const proof = { ...tokenExample, acr: 'phr', amr: ['pwd', 'pop', 'user', 'mfa'] }
const options = { timeout: 300_000, challenge: 'AMMPt4UxxGTStncdq417YDwBFi-khr6nDyg65VbhMMA' }

const PasskeyRequest = Type.Object({ label: Type.Optional(Label) }, {
  $id: 'PasskeyRequest',
  additionalProperties: false,
  examples: [{ label: 'My laptop' }]
})

const PasskeyAnswer = Type.Object({ factorId: Uuid, options: CreationOptions, expiresAt: Time }, {
  $id: 'PasskeyAnswer',
  examples: [{
    factorId: FACTOR,
    options: {
      ...options,
      rp,
      user: { id: 'jQ8aUpShTEyxtQL22KnT2Q', name: 'alice@example.com', displayName: 'alice@example.com' },
      pubKeyCredParams: [-7, -8, -257].map(alg => ({ type: 'public-key', alg })),
      excludeCredentials: [],
      authenticatorSelection: { residentKey: 'preferred', requireResidentKey: false, userVerification: 'required' },
      attestation: 'none'
    },
    expiresAt: '2026-11-24T12:10:00.000Z'
  }]
})

const PasskeyConfirmRequest = Type.Object({ factorId: Uuid, credential: Registration, audience: Audience }, {
  $id: 'PasskeyConfirmRequest',
  additionalProperties: false,
  examples: [{
    factorId: FACTOR,
    credential: {
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: { clientDataJSON: 'eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0', attestationObject: 'o2NmbXRkbm9uZQ', transports: ['internal'] }
    }
  }]
})
export type PasskeyConfirmRequest = Static<typeof PasskeyConfirmRequest>

const PasskeyConfirmAnswer = Type.Object({
  factorId: Uuid,
  recoveryCodes: Type.Union([RecoveryCodes, Type.Null()], { description: 'Ten with the first factor. Null with a further one' }),
  ...tokenFields,
  nextCodeAt: NullableTime
}, {
  $id: 'PasskeyConfirmAnswer',
  examples: [{ factorId: FACTOR, recoveryCodes: recoveryCodesExample, ...tokenExample, amr: ['pwd', 'mfa'], nextCodeAt: null }]
})

const PasskeyChallengeRequest = Type.Object({}, { $id: 'PasskeyChallengeRequest', additionalProperties: false, examples: [{}] })

const PasskeyChallenge = Type.Object({ options: RequestOptions, expiresAt: Time }, {
  $id: 'PasskeyChallenge',
  examples: [{
    options: {
      ...options,
      rpId: rp.id,
      allowCredentials: [{ type: 'public-key', id, transports: ['internal'] }],
      userVerification: 'required'
    },
    expiresAt: '2026-11-24T12:05:00.000Z'
  }]
})

const PasskeyVerifyRequest = Type.Object({
  credential: Assertion,
  audience: Audience,
  acr: Phr
}, {
  $id: 'PasskeyVerifyRequest',
  additionalProperties: false,
  examples: [{
    credential: {
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: 'eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0',
        authenticatorData: 'v6vDdDKViwYzYNOtZGHJxHNa5_jt1GWSpeDwFFKy5LUZAAAAAA',
        signature: 'MEYCIQD1Ck4uRAkk',
        userHandle: 'jQ8aUpShTEyxtQL22KnT2Q'
      }
    }
  }]
})
export type PasskeyVerifyRequest = Static<typeof PasskeyVerifyRequest>

const PasskeyVerifyAnswer = Type.Object({ ...tokenFields, factorId: Uuid }, {
  $id: 'PasskeyVerifyAnswer',
  examples: [{ ...proof, factorId: FACTOR }]
})

export const PASSKEY_SCHEMAS = [
  PasskeyRequest,
  PasskeyAnswer,
  PasskeyConfirmRequest,
  PasskeyConfirmAnswer,
  PasskeyChallengeRequest,
  PasskeyChallenge,
  PasskeyVerifyRequest,
  PasskeyVerifyAnswer
]

/** What a factor of this kind has besides. */
export const PasskeyView = Type.Union([Type.Object({
  rpId: Type.String({ description: 'The domain that it is bound to' }),
  credentialId: Type.Union([Type.String(), Type.Null()], { description: 'As browsers know it. Null until it is confirmed' }),
  synced: Type.Union([Type.Boolean(), Type.Null()], { description: 'Whether it lives on several devices. Null until it is confirmed' }),
  provider: Type.Union([Type.String(), Type.Null()], { description: 'What keeps it, as that says itself. Nothing proves it' }),
  usable: Type.Boolean({
    description: 'False until it is confirmed, and if it was made for another domain than the one that is configured now'
  })
}), Type.Null()], { description: 'Of a passkey. Null for any other kind' })
