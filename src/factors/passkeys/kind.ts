import { randomBytes } from 'node:crypto'
import type { RelyingParty } from '../../config/passkeys.ts'
import type { Settings } from '../../config/secrets.ts'
import { open } from '../../keys/seal.ts'
import type { Factor, Pending, User } from '../../users/user.ts'
import { auditOf, type Confirmed, type FactorKind, type KindContext, type Verified } from '../factor-kind.ts'
import { readAssertion, readId, readRegistration } from './answer.ts'
import { type Asked, CHALLENGE_SECONDS, findChallengeFault, issueChallenge, numberOf } from './challenge.ts'
import { creationOptions, requestOptions } from './options.ts'
import { type Cause, isPasskey, type Passkey, PASSKEY_KIND, toText } from './passkey.ts'
import { providerOf } from './providers.ts'
import { relyingPartyOf } from './relying-party.ts'
import { PASSKEY_SCHEMAS, type PasskeyConfirmRequest, type PasskeyVerifyRequest, PasskeyView } from './schema.ts'
import { type Proof, settleAsserted, settleUnproved } from './store.ts'

/** Of a tenant that is offered passkeys: the shared calls have asked. */
const partyOf = ({ PASSKEYS }: Settings, { tenant }: Pick<User, 'tenant'>): RelyingParty => relyingPartyOf(PASSKEYS, tenant) as RelyingParty

const passkeysOf = (factors: Factor[], { rpId }: RelyingParty): Passkey[] =>
  factors.filter(isPasskey).filter(({ credential }) => credential.rpId === rpId)

const askedOf = ({ tenant, userId, epoch }: User, { session }: KindContext, { rpId }: RelyingParty): Asked => ({
  tenant,
  userId,
  epoch,
  session,
  rpId
})

/** Passkeys (WebAuthn Level 3). */
export const passkeys: FactorKind = {
  kind: PASSKEY_KIND,
  noun: 'Passkey',
  amr: ['pop', 'user'],
  acr: 'phr',
  // Without attestation a registration is not signed: it shows that a page of ours was there, and no possession.
  setUp: { acr: 'mfa', amr: [] },
  audit: auditOf(PASSKEY_KIND, 'suspected'),
  settlement: {
    isThrottled: false,
    accept: (db, acceptance, proof) => settleAsserted(db, acceptance, proof as Proof),
    refuse: settleUnproved
  },
  most: 10,
  says: { refused: 'passkey', missing: 'noPasskey' },
  schemas: PASSKEY_SCHEMAS,
  calls: {
    start: {
      path: '/mfa/passkeys',
      id: 'startPasskey',
      summary: 'Start setting up a passkey',
      description:
        'Answers the options for `navigator.credentials.create()`, by `PublicKeyCredential.parseCreationOptionsFromJSON()`. ' +
        'The passkey counts only after `POST /mfa/passkeys/confirm`, within ten minutes and in the same login session. ' +
        'Who may, and what is replaced, is as with `POST /mfa/enroll`: the first factor needs a fresh login, or a code from an ' +
        'administrator; a further one needs a fresh MFA token. A user can have ten passkeys, besides five authenticators. ' +
        'Without a label it gets the name of what keeps it.',
      body: 'PasskeyRequest',
      answer: 'PasskeyAnswer',
      answered: 'Started: ask the browser for a passkey.',
      ifUnknown: 'Its challenge is lost. Start again: the new start takes its place.'
    },
    confirm: {
      path: '/mfa/passkeys/confirm',
      id: 'confirmPasskey',
      summary: 'Hand over the new passkey, so that it counts',
      description:
        '`credential` is what the browser gave, by `toJSON()`. With the first factor you get ten recovery codes, as with `POST ' +
        '/mfa/enroll/confirm`. A set-up proves no possession: `acr` of the token is `mfa`, and the first `POST /mfa/passkeys/verify` ' +
        'makes it `phr`. The fifth refused answer ends the set-up.',
      body: 'PasskeyConfirmRequest',
      answer: 'PasskeyConfirmAnswer',
      answered: 'Active. Has the recovery codes, and an MFA token.',
      ifUnknown:
        'Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/passkeys/challenge. ' +
        'If `recoveryCodes.acknowledgedAt` is null, the user has not seen the recovery codes: make new ones, POST /mfa/recovery/codes.'
    },
    verify: {
      path: '/mfa/passkeys/verify',
      id: 'verifyPasskey',
      summary: 'Prove the second factor with a passkey',
      description:
        '`credential` is what the browser gave for a challenge of this user and login session, not older than five minutes, by ' +
        '`toJSON()`. Each counts once. A token for this service has `acr` `phr`; one for an application has it only where you ask for ' +
        "it. A signature can't be guessed: refused answers cost no wait and no lock, and an accepted one clears none. The answer is " +
        'the same for whatever is refused.',
      body: 'PasskeyVerifyRequest',
      answer: 'PasskeyVerifyAnswer',
      answered: 'Accepted. Has the MFA token.',
      ifUnknown:
        'Look at GET /mfa/status. If `lastUsedAt` of a passkey is just now, this answer is used up and its token lost. ' +
        'POST /mfa/token gives a token if the session is remembered; otherwise ask for another challenge.'
    }
  },
  isConfigured: ({ PASSKEYS }) => PASSKEYS.length > 0,
  isOffered: ({ PASSKEYS }, tenant) => relyingPartyOf(PASSKEYS, tenant) !== undefined,
  isUsable: ({ credential }, tenant, { PASSKEYS }) => credential !== null && credential.rpId === relyingPartyOf(PASSKEYS, tenant)?.rpId,
  start ({ config }) {
    const challenge = randomBytes(32)
    return {
      secret: challenge,
      parameters: { algorithm: null, digits: null, period: null },
      show (user) {
        const party = partyOf(config, user)
        return { options: creationOptions(party, user, passkeysOf(user.factors, party), challenge) }
      }
    }
  },
  confirm: (user, pending, body, context) => confirmPasskey(user, pending, (body as PasskeyConfirmRequest).credential, context),
  verify: (user, factors, body, context) => verifyPasskey(user, factors, (body as PasskeyVerifyRequest).credential, context),
  challenge: {
    call: {
      path: '/mfa/passkeys/challenge',
      id: 'challengePasskey',
      summary: 'Ask for a challenge that a passkey can answer',
      description:
        'Answers the options for `navigator.credentials.get()`, by `PublicKeyCredential.parseRequestOptionsFromJSON()`. ' +
        'Ask before the user clicks: some browsers show nothing if the page has to wait after the click. ' +
        'A challenge is good for five minutes, for this user and login session, and once. Ask for as many as you like: none of them is ' +
        'stored.',
      body: 'PasskeyChallengeRequest',
      answer: 'PasskeyChallenge',
      answered: 'The options, and until when they can be answered.',
    },
    make (user, factors, context) {
      const party = partyOf(context.config, user)
      const challenge = issueChallenge(context.ring, askedOf(user, context, party), user.readAt)
      const expiresAt = new Date(user.readAt.getTime() + CHALLENGE_SECONDS * 1000)
      return { options: requestOptions(party, passkeysOf(factors, party), challenge), expiresAt: expiresAt.toISOString() }
    }
  },
  view: () => ({ nextCodeAt: null }),
  details: {
    name: 'passkey',
    schema: PasskeyView,
    make (credential, tenant, { PASSKEYS }) {
      const rpId = relyingPartyOf(PASSKEYS, tenant)?.rpId
      if (credential !== null) {
        return {
          rpId: credential.rpId,
          credentialId: toText(credential.id),
          synced: credential.isEligible,
          provider: providerOf(credential.aaguid),
          usable: credential.rpId === rpId
        }
      }
      return rpId === undefined ? null : { rpId, credentialId: null, synced: null, provider: null, usable: false }
    }
  }
}

const refused = (cause: Cause): Extract<Confirmed & Verified, { outcome: 'refused' }> => ({
  outcome: 'refused',
  weight: 0,
  near: { cause },
  unreadable: []
})

/** Is it a new passkey for the challenge of this set-up? */
async function confirmPasskey (
  user: User,
  pending: Pending,
  credential: PasskeyConfirmRequest['credential'],
  { ring, config }: KindContext
): Promise<Confirmed> {
  const relyingParty = partyOf(config, user)
  const challenge = open(ring, { ...pending, tenant: user.tenant, userId: user.userId }, pending, secret => Buffer.from(secret))
  const answer = await readRegistration(credential, {
    relyingParty,
    findChallengeFault: given => given.equals(challenge) ? null : 'challenge'
  })
  if (typeof answer === 'string') return refused(answer)
  const { publicKey, counter, ...made } = answer
  return { outcome: 'match', counter, secret: publicKey, credential: { ...made, rpId: relyingParty.rpId }, name: providerOf(made.aaguid) }
}

/** Has one of these answered a challenge of ours? */
async function verifyPasskey (
  user: User,
  factors: Factor[],
  credential: PasskeyVerifyRequest['credential'],
  context: KindContext
): Promise<Verified> {
  const { ring, config } = context
  const relyingParty = partyOf(config, user)
  const id = readId(credential.id)
  const factor = passkeysOf(factors, relyingParty).find(each => id?.equals(each.credential.id))
  if (factor === undefined) return refused('unknown')
  let publicKey
  try {
    publicKey = open(
      ring,
      { ...factor, tenant: user.tenant, userId: user.userId, factorId: factor.id },
      factor,
      secret => Buffer.from(secret)
    )
  } catch {
    // The answer was not looked at.
    return { outcome: 'refused', weight: 0, near: null, unreadable: [factor] }
  }
  const asked = askedOf(user, context, relyingParty)
  const known = { userId: user.userId, publicKey, wasEligible: factor.credential.isEligible }
  const answer = await readAssertion(credential, known, {
    relyingParty,
    findChallengeFault: given => findChallengeFault(ring, asked, given, user.readAt)
  })
  if (typeof answer === 'string') return refused(answer)
  const proof: Proof = { challenge: numberOf(answer.challenge), isEligible: answer.isEligible }
  return { outcome: 'match', factor, counter: answer.counter, proof, unreadable: [] }
}
