import t from 'tap'
import { type AdminRefusal, decideAdmin, decideChange } from '../../src/core/assurance.ts'
import type { Acr, Caller } from '../../src/core/caller.ts'
import type { Factor, Person } from '../../src/core/person.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const SECONDS = NOW.getTime() / 1000
const DAY = 86_400
const settings = { loginFreshSeconds: 900, mfaFreshSeconds: 600, adminFactorAgeSeconds: DAY }
const VERIFY = { action: 'verify', maxAge: 600 }
const LOGIN = { action: 'login', maxAge: 900 }

/** Factors by id, with the seconds since the recovery that came before each was confirmed, or null. */
const personWith = (factors: Record<string, number | null>): Person => ({
  factors: Object.entries(factors).map(([id, age]) => ({ id, afterRecoveryAt: age === null ? null : new Date(NOW.getTime() - age * 1000) }) as Factor)
}) as Person

const caller = (kind: 'first' | Acr, age: number | undefined, factorId = 'A'): Caller => ({
  kind: kind === 'first' ? 'first' : 'mfa',
  authTime: age === undefined ? undefined : SECONDS - age,
  mfa: kind === 'first' ? undefined : { userId: 'u', epoch: 1, acr: kind, factorId }
}) as Caller

t.test('who may change factors: the first takes a fresh login, any further change a fresh second factor', async t => {
  const table: Array<[factors: number, token: 'first' | Acr, age: number | undefined, missing: object | null]> = [
    [0, 'first', 0, null],
    [0, 'first', 900, null],
    [0, 'first', 901, LOGIN],
    [0, 'first', undefined, LOGIN],
    [1, 'first', 0, VERIFY],
    [1, 'mfa', 0, null],
    [1, 'mfa', 600, null],
    [1, 'mfa', 601, VERIFY],
    [1, 'mfa-recovery', 0, null],
    [1, 'mfa-recovery', 601, VERIFY]
  ]
  for (const [factors, token, age, missing] of table) {
    t.same(decideChange(personWith(factors === 0 ? {} : { A: null }), caller(token, age), NOW, settings), missing, `${factors} ${token} ${age}`)
  }
})

t.test('who may administer: a fresh second factor, not a recovery\'s, by a factor that no recovery set up today', async t => {
  const table: Array<[factors: Record<string, number | null>, token: 'first' | Acr, usedFactor: string, age: number, refusal: AdminRefusal | null | object]> = [
    // factors and their recovery   token     by   age  refusal
    [{}, 'first', 'A', 0, 'not_enrolled'],
    [{}, 'mfa', 'A', 0, 'not_enrolled'],
    [{ A: null }, 'first', 'A', 0, VERIFY],
    [{ A: null }, 'mfa', 'A', 0, null],
    [{ A: null }, 'mfa', 'A', 600, null],
    [{ A: null }, 'mfa', 'A', 601, VERIFY],
    [{ A: null }, 'mfa-recovery', 'A', 0, VERIFY],
    [{ A: null }, 'mfa-recovery', 'set', 0, VERIFY],
    [{ A: null }, 'mfa', 'gone', 0, VERIFY],
    [{ A: 0 }, 'mfa', 'A', 0, 'forbidden'],
    [{ A: DAY - 1 }, 'mfa', 'A', 0, 'forbidden'],
    [{ A: DAY }, 'mfa', 'A', 0, null],
    [{ A: 0 }, 'mfa', 'A', 601, VERIFY],
    [{ A: 0, B: null }, 'mfa', 'A', 0, VERIFY],
    [{ A: 0, B: null }, 'mfa', 'B', 0, null],
    [{ A: 0, B: DAY }, 'mfa', 'A', 0, VERIFY],
    [{ A: 0, B: 10 }, 'mfa', 'B', 0, 'forbidden'],
    [{ A: 0, B: null }, 'mfa-recovery', 'A', 0, VERIFY]
  ]
  for (const [factors, token, usedFactor, age, refusal] of table) {
    t.same(decideAdmin(personWith(factors), caller(token, age, usedFactor), NOW, settings), refusal, `${JSON.stringify(factors)} ${token} ${usedFactor} ${age}`)
  }
})

t.test('with ADMIN_FACTOR_AGE_SECONDS=0 a factor administers at once', async t => {
  t.equal(decideAdmin(personWith({ A: 0 }), caller('mfa', 0), NOW, { ...settings, adminFactorAgeSeconds: 0 }), null)
})
