import t from 'tap'
import type { Purpose } from '../../src/keys/keys.ts'
import { decideRetire, decideRotate, type KeyState } from '../../src/keys/rotation.ts'

const state = (id: string, ages: Partial<KeyState>, purpose: Purpose = 'sealing'): KeyState => ({
  purpose,
  id,
  addedAge: 1e6,
  absentAge: null,
  firstAge: null,
  ...ages
})
const used = state('k1', { firstAge: 2 })

t.test('the newest key comes first when no replica has lacked it for half a minute', async t => {
  const rotate = (...states: KeyState[]) => decideRotate('sealing', ['k1', 'k2'], [used, ...states])
  t.same(decideRotate('sealing', ['k1'], [used]), { outcome: 'none' }, 'there is no other')
  t.same(rotate(), { outcome: 'wait', id: 'k2', seconds: null }, 'no replica has it')
  t.same(rotate(state('k2', {}, 'pepper')), { outcome: 'wait', id: 'k2', seconds: null }, 'one of another purpose says nothing')
  t.same(rotate(state('k2', { addedAge: 12.3 })), { outcome: 'wait', id: 'k2', seconds: 18 })
  t.same(rotate(state('k2', { addedAge: 4000, absentAge: 3 })), { outcome: 'wait', id: 'k2', seconds: 27 }, 'one has it not yet')
  t.same(rotate(state('k2', { addedAge: 31 })), { outcome: 'switch', id: 'k2' })
  t.same(rotate(state('k2', { addedAge: 4000, absentAge: 31 })), { outcome: 'switch', id: 'k2' })
})

t.test('a key that was in use once is not put first again', async t => {
  t.same(
    decideRotate('sealing', ['k2', 'k1'], [used, state('k2', {})]),
    { outcome: 'none' },
    'the file has it first, and no replica has read that yet'
  )
  t.same(decideRotate('sealing', ['k1', 'k0', 'k2', 'k3'], [used, state('k0', { firstAge: 1e5 }), state('k2', {}), state('k3', {})]), {
    outcome: 'switch',
    id: 'k3'
  }, 'of two new ones the newer')
})

t.test('a signing key signs when no verifier keeps a key set without it', async t => {
  const rotate = (ages: Partial<KeyState>) =>
    decideRotate('signing', ['s1', 's2'], [state('s1', { firstAge: 1 }, 'signing'), state('s2', ages, 'signing')])
  t.same(rotate({ addedAge: 100 }), { outcome: 'wait', id: 's2', seconds: 230 })
  t.same(rotate({ addedAge: 5000, absentAge: 299 }), { outcome: 'wait', id: 's2', seconds: 31 })
  t.same(rotate({ addedAge: 331 }), { outcome: 'switch', id: 's2' })
})

t.test('a key goes when nothing needs it and no replica uses it', async t => {
  const retire = (id: string, rows: number, ages: Partial<KeyState>, purpose: Purpose = 'sealing') =>
    decideRetire(purpose, id, ['k2', 'k1'], [state('k1', ages, purpose)], rows)
  t.same(retire('k9', 0, {}), { outcome: 'unknown' })
  t.same(retire('k2', 0, {}), { outcome: 'first' })
  t.same(retire('k1', 1, {}), { outcome: 'needed' })
  t.same(retire('k1', 0, { firstAge: 10 }), { outcome: 'wait', seconds: 20 }, 'a replica may seal with it still')
  t.same(retire('k1', 0, { firstAge: 31 }), { outcome: 'retire' })
  t.same(retire('k1', 0, {}), { outcome: 'retire' }, 'it was never used')
  t.same(decideRetire('sealing', 'k1', ['k2', 'k1'], [], 0), { outcome: 'retire' })
  t.same(retire('k1', 0, { firstAge: 31 }, 'signing'), { outcome: 'wait', seconds: 959 }, 'a token of it may count still')
  t.same(retire('k1', 0, { firstAge: 991 }, 'signing'), { outcome: 'retire' })
})
