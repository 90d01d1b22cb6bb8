// Tokens as an attacker makes them, and the one answer that all of them get.
import { createHmac, type KeyObject, sign, type SignKeyObjectInput } from 'node:crypto'
import type { Test } from 'tap'
import { type Answer, encode, type Service } from './service.ts'

type Sign = (input: string) => Buffer

/** A compact JWS of any header and payload, objects or text. */
export const compact = (header: object | string, payload: object | string, signature: Sign): string => {
  const input = [header, payload].map(part => typeof part === 'string' ? Buffer.from(part).toString('base64url') : encode(part)).join('.')
  return `${input}.${signature(input).toString('base64url')}`
}

export const hmac = (key: string | Buffer, hash = 'sha256'): Sign => input => createHmac(hash, key).update(input).digest()

export const withKey = (key: KeyObject, hash: string | null = 'sha256', options: Partial<SignKeyObjectInput> = {}): Sign => input =>
  sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363', ...options })

export const unsigned: Sign = () => Buffer.alloc(0)

/** What no two refusals have in common is taken out: `cause`, which production does not have. */
export const bare = ({ body: { cause, ...body } }: Pick<Answer, 'body'>): unknown => ({ ...body, instance: '' })

/** Each of the tokens gets the answer that no token at all gets, and records no user. */
export async function refuseAll (t: Test, service: Service, tenant: string, tokens: Record<string, string>): Promise<void> {
  const none = await service.call('GET', '/mfa/status')
  for (const [cause, token] of Object.entries(tokens)) {
    const answer = await service.call('GET', '/mfa/status', { token })
    t.equal(answer.status, 401, `${cause}: 401`)
    t.equal(answer.headers.get('www-authenticate'), 'Bearer error="invalid_token"', `${cause}: the challenge gives no reason`)
    t.same(bare(answer), bare(none), `${cause}: the same body`)
    t.type(answer.body.cause, 'string', `${cause}: and why, in development`)
  }
  const [row] = await service.db.rows<{ users: number }>`SELECT count(*)::int AS users FROM users WHERE tenant = ${tenant}`
  t.equal(row?.users, 0, 'no user was recorded')
}
