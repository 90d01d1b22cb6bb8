// In a process of its own: it counts the threads that hash.
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import bcrypt from 'bcrypt'
import t from 'tap'
import { bcryptThreads as threads } from '../../../src/platform/bcrypt/threads.ts'
import { UnavailableError } from '../../../src/platform/unavailable.ts'

const started: Worker[] = []
process.on('worker', worker => { started.push(worker) })

t.test('a hash is one that bcrypt itself compares, and the other way round', async t => {
  const hash = await threads.hash('a text', 5)
  t.match(hash, /^\$2b\$05\$/)
  t.equal(bcrypt.compareSync('a text', hash), true)
  t.equal(await threads.compare('a text', bcrypt.hashSync('a text', 5)), true)
  t.equal(await threads.compare('another', hash), false)
  t.equal(started.length, 1, 'one after the other needs one thread')
})

t.test('threads that hash give way to the one that answers, whose priority stays', {
  skip: process.platform !== 'linux' && "a priority of a thread is Linux's"
}, async t => {
  const own = getPriority()
  await Promise.all([threads.hash('a', 5), threads.hash('b', 5)])
  t.equal(started.length, 2)
  // Field 19 of stat(5), counted behind the name in its brackets.
  const priorities = readdirSync('/proc/self/task').map(id =>
    Number(readFileSync(`/proc/self/task/${id}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')[16])
  )
  t.equal(priorities.filter(priority => priority === 5).length, 2, priorities.join(' '))
  t.equal(getPriority(), own)
})

t.test('what bcrypt refuses is an error, and the thread goes on', async t => {
  const before = started.length
  await t.rejects(
    threads.hash('a', 99),
    new UnavailableError('bcrypt: Invalid salt. Salt must be in the form of: $Vers$log2(NumRounds)$saltvalue')
  )
  t.match(await threads.hash('a', 5), /^\$2b\$05\$/)
  t.equal(started.length, before)
})

t.test('a thread that ends is an error of what it was hashing, never a match, and another takes its place', async t => {
  for (const worker of started) if (worker.threadId > 0) await worker.terminate()
  const next = once(process, 'worker') as Promise<[Worker]>
  const failing = t.rejects(threads.compare('a', bcrypt.hashSync('a', 13)), {
    name: 'UnavailableError',
    message: /^bcrypt: its thread has ended/
  })
  const [busy] = await next
  await once(busy, 'online')
  await sleep(100)
  await busy.terminate()
  await failing
  t.equal(await threads.compare('a', bcrypt.hashSync('a', 5)), true)
})
