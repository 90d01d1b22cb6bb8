// Of what kind a token of an issuer is: access tokens, ID tokens and others are signed with the same keys.
import type { Claims, JwsHeader } from './claims.ts'
import { type Issuer, settingOf } from './issuer.ts'
import { refuse } from './refused-token.ts'

/** What it says of its own kind, in lower case: nothing; or what cannot be read, and so may be any kind. */
const spelled = (claims: Claims, name: string): string | undefined => {
  const claimed = Object.hasOwn(claims, name) ? claims[name] : ''
  return typeof claimed === 'string' ? claimed.toLowerCase() : undefined
}

/** What shows that a token is of another kind: the name of a claim or header parameter, and what it says. */
interface Sign { claim: string, value: unknown }

const firstThere = (claims: Claims, names: readonly string[]): Sign | undefined =>
  names.filter(name => Object.hasOwn(claims, name)).map(name => ({ claim: name, value: claims[name] }))[0]

const saysOther = (claims: Claims, name: string, others: readonly string[]): Sign | undefined => {
  const claimed = spelled(claims, name)
  return claimed === undefined || others.includes(claimed) ? { claim: name, value: claims[name] } : undefined
}

const hasOtherType = ({ typ }: JwsHeader, type: RegExp): Sign | undefined =>
  typ === undefined || (typeof typ === 'string' && type.test(typ)) ? undefined : { claim: 'typ', value: typ }

/**
 * An access token, not some other kind of one issuer (RFC 8725 §3.12): ID tokens carry a nonce or a hash, logout tokens
 * `events`, and several providers name the kind in the payload. One that says that it is an access token may have a nonce,
 * as Keycloak's have.
 */
function isNoAccessToken (header: JwsHeader, claims: Claims): Sign | undefined {
  const saysSo = /at\+jwt$/i.test(String(header.typ)) || spelled(claims, 'typ') === 'bearer'
  return hasOtherType(header, /^(application\/)?(at\+)?jwt$/i) ??
    firstThere(claims, ['at_hash', 'c_hash', 'events', ...(saysSo ? [] : ['nonce'])]) ??
    saysOther(claims, 'typ', ['id', 'refresh', 'offline', 'logout']) ?? saysOther(claims, 'token_use', ['id', 'refresh'])
}

/** An ID token (OpenID Connect Core §2), not an access, logout or refresh token of the same issuer. */
const isNoIdToken = (header: JwsHeader, claims: Claims): Sign | undefined =>
  hasOtherType(header, /^(application\/)?jwt$/i) ?? firstThere(claims, ['events', 'scope', 'scp']) ??
  saysOther(claims, 'typ', ['bearer', 'refresh', 'offline', 'logout']) ?? saysOther(claims, 'token_use', ['access', 'refresh'])

/** What shows that it is not of the kind that the issuer is configured for. */
export const signOfOtherKind = ({ tokenUse }: Pick<Issuer, 'tokenUse'>, header: JwsHeader, claims: Claims): Sign | undefined =>
  (tokenUse === 'id' ? isNoIdToken : isNoAccessToken)(header, claims)

export function refuseOtherKind (header: JwsHeader, claims: Claims, issuer: Issuer): void {
  const sign = signOfOtherKind(issuer, header, claims)
  if (sign !== undefined) {
    refuse('kind', { ...sign, expected: `an ${issuer.tokenUse === 'id' ? 'ID' : 'access'} token`, setting: settingOf(issuer, 'tokenUse') })
  }
}
