import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { shared } from '../../src/platform/shared.ts'

/** Work that ends when the test says so. */
function controlled (): { work: () => Promise<string>, begun: Array<(answer: string | Error) => void> } {
  const begun: Array<(answer: string | Error) => void> = []
  const work = (): Promise<string> =>
    new Promise((resolve, reject) => {
      begun.push(answer => {
        if (typeof answer === 'string') resolve(answer)
        else reject(answer)
      })
    })
  return { work, begun }
}

t.test('work is done once for all who ask while it is under way, and anew for who asks after it', async t => {
  const { work, begun } = controlled()
  const ask = shared(work)
  for (const answer of ['first', 'second']) {
    const asked = [ask(), ask(), ask()]
    begun.at(-1)?.(answer)
    t.same(await Promise.all(asked), [answer, answer, answer])
  }
  t.equal(begun.length, 2)
})

t.test('a good answer serves others for its time, a failure serves no others', async t => {
  const { work, begun } = controlled()
  const ask = shared(work, 300)
  const failing = [ask(), ask()]
  begun[0]?.(new Error('gone'))
  await Promise.all(failing.map(each => t.rejects(each, { message: 'gone' })))
  const good = ask()
  begun[1]?.('there')
  t.equal(await good, 'there')
  const kept = performance.now()
  while (begun.length === 2) {
    void ask()
    await sleep(10)
  }
  t.ok(performance.now() - kept > 250, 'until then it was kept')
})
