// A user as a snapshot has them, for tests of what is decided: no one in particular, unless the test says so.
import type { WholeUser } from '../../src/users/user.ts'
import { DEFAULT_POLICY } from '../../src/policy/policy.ts'

export const NOW = new Date('2026-11-24T12:00:00Z')

export const aUser = (known: Partial<WholeUser> = {}): WholeUser => ({
  tenant: 't',
  userId: 'u',
  namespace: 'a',
  subject: 's',
  account: 's',
  epoch: 1,
  revision: 1,
  sources: {},
  isDisabled: false,
  isAdministrator: false,
  isCodeRequired: false,
  tokensSince: null,
  createdAt: NOW,
  readAt: NOW,
  policyMetAt: null,
  graceUntil: null,
  exemption: null,
  reportedVersion: null,
  factors: [],
  pending: [],
  recovery: null,
  devices: [],
  session: { generation: 0, authentication: null, isForged: false },
  throttles: {},
  policy: DEFAULT_POLICY,
  ...known
})
