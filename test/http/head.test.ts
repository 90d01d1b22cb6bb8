import t from 'tap'
import { MAX_HEADER_SIZE } from '../../src/http/head.ts'
import { raw, request } from '../helpers/raw.ts'
import { claimsOf, type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const KIB = 1024

/** A token of so many characters: base64 can't be had of just any length, a header's name can. */
function tokenOf (user: User, length: number): string {
  for (let filler = Math.floor(length * 0.75) - 500; ; filler++) {
    const token = user.token({ filler: 'x'.repeat(filler) })
    if (token.length >= length) return token
  }
}

t.test('a token has up to 32 KiB, and so have all other headers together; what is larger is told so, and not to sign in again', async t => {
  const service = await useService(t)
  const user = service.user()
  const ask = async (headers: string[], path = '/mfa/status'): Promise<[number, string | undefined]> => {
    const { status, body } = await raw(service.url, request(`GET ${path}`, headers))
    const { code, detail } = JSON.parse(body) as { code?: string, detail?: string }
    if (status === 431) t.match(detail, /at most 32 KiB/)
    return [status, code]
  }
  const token = `Authorization: Bearer ${user.token()}`
  const longest = tokenOf(user, 32 * KIB - 1)
  t.ok(longest.length <= 32 * KIB && longest.length > 32 * KIB - 2, `${longest.length} characters`)
  const bearer = (length: number): string => `Authorization: Bearer ${tokenOf(user, length)}`
  const filler = (length: number): string => `X-Filler: ${'x'.repeat(length)}`

  for (
    const headers of [
      [token],
      [bearer(8200)],
      [bearer(16_500)],
      [`Authorization: Bearer ${longest}`],
      [`Authorization: Bearer ${longest}`, filler(31 * KIB)],
      [token, filler(31 * KIB)],
      [token, ...Array<string>(30).fill(filler(1000))]
    ]
  ) {
    t.same(await ask(headers), [200, undefined], `${headers.join('').length} bytes`)
  }
  for (
    const headers of [
      [bearer(32 * KIB + 1)],
      [bearer(33 * KIB)],
      [bearer(48 * KIB)],
      [bearer(MAX_HEADER_SIZE)],
      [`Authorization: Bearer ${longest}`, filler(33 * KIB)],
      [token, filler(33 * KIB)],
      [token, ...Array<string>(40).fill(filler(1000))],
      [token, filler(200_000)],
      [filler(33 * KIB)]
    ]
  ) {
    t.same(await ask(headers), [431, 'token_too_large'], `${headers.join('').length} bytes`)
  }
  t.same(await ask([bearer(33 * KIB)], '/mfa/authorize'), [431, 'token_too_large'], 'a gateway too')
  t.equal(
    (await raw(service.url, request(`GET /mfa/status?x=${'x'.repeat(70_000)}`, [token]))).status,
    431,
    'an address is a part of the head'
  )
})

t.test('a user in very many groups enrolls and passes: our token is not too long for us', async t => {
  const service = await useService(t)
  for (const [count, length] of [[190, 6], [400, 30], [1990, 4]] as const) {
    const groups = Array.from({ length: count }, (_, i) => `g${i}-`.padEnd(length, 'x'))
    const user = service.user({ groups })
    const { token } = await user.enroll()
    t.same(claimsOf(token).groups, groups)
    t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200, `${count} groups, ${token.length} characters`)
  }
  const groups = Array.from({ length: 780 }, (_, i) => `g${i}-`.padEnd(28, 'x'))
  const user = service.user({ groups })
  t.ok(user.token().length > 32 * KIB - 300, `${user.token().length} characters`)
  const { token } = await user.enroll()
  t.match(
    { ...claimsOf(token), groups: claimsOf(token).groups },
    { groups: undefined, hasgroups: true, sub: user.sub },
    'groups go where it would be too long, and it says so'
  )
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200)
})
