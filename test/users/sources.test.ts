import t from 'tap'
import type { SourceClaims } from '../../src/users/user.ts'
import { accountsOf, areGroupsUnknown, groupsOf, isSsoOnly } from '../../src/users/sources.ts'

const settings = { issuers: new Set(['a', 'b']) }

t.test('SSO alone: every source that counts says SSO, none says local, and one at least is there', async t => {
  const table: Array<[sources: Record<string, SourceClaims>, isSsoOnly: boolean]> = [
    [{}, false],
    [{ a: {} }, false],
    [{ a: { local: false, sso: false } }, false],
    [{ a: { sso: true } }, true],
    [{ a: { sso: true, local: false }, b: {} }, true],
    [{ a: { sso: true }, b: { sso: true } }, true],
    [{ a: { sso: true }, b: { local: true } }, false],
    [{ a: { sso: true, local: true } }, false],
    [{ a: { sso: true }, gone: { local: true } }, true],
    [{ gone: { sso: true } }, false],
    [{ a: { local: false }, gone: { sso: true } }, false]
  ]
  for (const [sources, expected] of table) t.equal(isSsoOnly(sources, settings.issuers), expected, JSON.stringify(sources))
})

t.test('accounts and groups are joined, and an issuer that is not configured any more says nothing', async t => {
  const sources = {
    a: { sso: true, groups: ['y', 'x'] },
    b: { local: true, groups: ['x', 'z'], groupsUnknown: false },
    gone: { groups: ['w'], groupsUnknown: true }
  }
  t.same(accountsOf(sources, settings.issuers), ['local', 'sso'])
  t.same(groupsOf(sources, settings.issuers), ['x', 'y', 'z'])
  t.equal(areGroupsUnknown(sources, settings.issuers), false)
  t.equal(areGroupsUnknown({ a: { groupsUnknown: true } }, settings.issuers), true)
  t.same(groupsOf({ a: {} }, settings.issuers), [])
})
