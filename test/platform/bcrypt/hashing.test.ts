import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { bcryptThreads } from '../../../src/platform/bcrypt/threads.ts'
import { type Bcrypt, Hasher } from '../../../src/platform/bcrypt/hashing.ts'
import { UnavailableError } from '../../../src/platform/unavailable.ts'

/** bcrypt that ends when it is told to. */
function controlled (): { bcrypt: Bcrypt, started: string[], running: () => number, end: (text: string, error?: Error) => Promise<void> } {
  const open = new Map<string, { resolve: (value: boolean) => void, reject: (error: Error) => void }>()
  const started: string[] = []
  return {
    bcrypt: {
      hash: () => Promise.reject(new Error('not asked for')),
      compare (text) {
        started.push(text)
        return new Promise((resolve, reject) => open.set(text, { resolve, reject }))
      }
    },
    started,
    running: () => open.size,
    async end (text, error) {
      await turn()
      const one = open.get(text)
      open.delete(text)
      if (error === undefined) one?.resolve(true)
      else one?.reject(error)
      await turn()
    }
  }
}

t.test('as many run at once as are allowed; the others follow in their order', async t => {
  const { bcrypt, started, running, end } = controlled()
  const hasher = new Hasher(bcrypt, 10, 2, 10)
  const done: string[] = []
  const all = ['a', 'b', 'c', 'd', 'e'].map(text => hasher.compare(text, '').then(() => done.push(text)))
  await turn()
  t.same(started, ['a', 'b'])
  await end('b')
  t.same(started, ['a', 'b', 'c'])
  await end('a')
  t.same(started, ['a', 'b', 'c', 'd'])
  t.equal(running(), 2)
  await end('c')
  await end('d')
  await end('e')
  await Promise.all(all)
  t.same(done, ['b', 'a', 'c', 'd', 'e'])
})

t.test('who comes while the queue is full is turned away at once, and those inside are served', async t => {
  const { bcrypt, started, end } = controlled()
  const hasher = new Hasher(bcrypt, 10, 1, 2)
  const inside = ['a', 'b', 'c'].map(text => hasher.compare(text, ''))
  await t.rejects(hasher.compare('d', ''), new UnavailableError('too many recovery codes are being hashed'))
  for (const text of ['a', 'b', 'c']) await end(text)
  t.same(await Promise.all(inside), [true, true, true])
  t.same(started, ['a', 'b', 'c'])
  const later = hasher.compare('e', '')
  await end('e')
  t.equal(await later, true, 'there is room again')
})

t.test('a hash that fails gives its place back', async t => {
  const { bcrypt, started, running, end } = controlled()
  const hasher = new Hasher(bcrypt, 10, 2, 10)
  for (const round of [1, 2, 3]) {
    const failing = ['a', 'b', 'c', 'd'].map(text => t.rejects(hasher.compare(`${text}${round}`, ''), { message: 'broken' }))
    for (const text of ['a', 'b', 'c', 'd']) await end(`${text}${round}`, new Error('broken'))
    await Promise.all(failing)
  }
  started.length = 0
  const after = ['x', 'y', 'z'].map(text => hasher.compare(text, ''))
  await turn()
  t.equal(running(), 2, 'not fewer and not more than before')
  for (const text of ['x', 'y', 'z']) await end(text)
  t.same(await Promise.all(after), [true, true, true])
})

t.test('no caller waits for a hash for longer than it is of use, in the queue or while it is made; a core that is busy with it ' +
  'stays busy', async t => {
  const { bcrypt, started, end } = controlled()
  const hasher = new Hasher({ ...bcrypt, hash: async text => String(await bcrypt.compare(text, '')) }, 10, 1, 10)
  const refusal = new UnavailableError('too many recovery codes are being hashed')
  const soon = (): number => performance.now() + 30
  await Promise.all([
    t.rejects(hasher.compare('a', '', soon()), refusal),
    t.rejects(hasher.hash('b', soon()), refusal),
    t.rejects(hasher.hashLast('c', soon()), refusal)
  ])
  t.same(started, ['a'])
  const next = hasher.compare('d', '', performance.now() + 60_000)
  await turn()
  t.same(started, ['a'], 'the first is not done, though its caller has left')
  await end('a')
  await end('d')
  t.equal(await next, true)
  t.same(started, ['a', 'd'])
})

t.test('hashes are bcrypt of the configured cost, each with a salt of its own, and compare', async t => {
  const hasher = new Hasher(bcryptThreads, 10)
  const text = createHash('sha256').update('x').digest('base64')
  const [one, other] = await Promise.all([hasher.hash(text), hasher.hash(text)])
  t.match(one, /^\$2b\$10\$[./A-Za-z0-9]{53}$/)
  t.not(one.slice(0, 29), other.slice(0, 29))
  t.equal(await hasher.compare(text, one), true)
  t.equal(await hasher.compare(`${text} `, one), false)
})

t.test('of what is not urgent one stands in the queue at a time, and others pass the rest', async t => {
  const { bcrypt, started, end } = controlled()
  const hasher = new Hasher({ ...bcrypt, hash: async text => String(await bcrypt.compare(text, '')) }, 10, 1, 3)
  const last = ['r1', 'r2', 'r3', 'r4'].map(text => hasher.hashLast(text))
  await turn()
  const others = ['a', 'b'].map(text => hasher.hash(text))
  await t.rejects(hasher.hashLast('r5'), new UnavailableError('too many recovery codes are being hashed'))
  for (const text of ['r1', 'a', 'b', 'r2', 'r3', 'r4']) await end(text)
  await Promise.all([...last, ...others])
  t.same(started, ['r1', 'a', 'b', 'r2', 'r3', 'r4'])
})
