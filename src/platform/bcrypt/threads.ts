import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { UnavailableError } from '../unavailable.ts'
import type { Bcrypt } from './hashing.ts'

type Job = { hash: [text: string, cost: number] } | { compare: [text: string, hash: string] }
type Answer = { value: unknown } | { error: string }

// As text, so that it is found however the service was built. On Linux a priority is the calling thread's alone; elsewhere
// it would be the whole process's. At 5 a hash gets a quarter of a core that others ask for, too: less, and on a busy host
// ten of them take longer than a client waits.
const CODE = `
const { parentPort, workerData } = require('node:worker_threads')
if (process.platform === 'linux') require('node:os').setPriority(5)
const bcrypt = require(workerData)
parentPort.on('message', ({ hash, compare }) => {
  try {
    parentPort.postMessage({ value: hash ? bcrypt.hashSync(...hash) : bcrypt.compareSync(...compare) })
  } catch (error) {
    parentPort.postMessage({ error: error.message })
  }
})`

/** Those that have nothing to do. There are as many as were ever busy at once: see Hasher. */
const idle: Worker[] = []

/**
 * bcrypt in threads of its own, which give way to those that answer requests. libuv's, where bcrypt's own promises run, are
 * as important as these to the system, and files and names are looked up there.
 */
export const bcryptThreads: Bcrypt = {
  hash: async (text, cost) => String(await run({ hash: [text, cost] })),
  compare: async (text, hash) => await run({ compare: [text, hash] }) === true
}

async function run (job: Job): Promise<unknown> {
  const thread = idle.pop() ?? start()
  // A process does not end while something is hashed, and does while nothing is.
  thread.ref()
  const answer = await new Promise<Answer>(resolve => {
    const ended = (why: unknown): void => resolve({ error: `its thread has ended: ${String(why)}` })
    thread.once('error', ended).once('exit', ended).once('message', answer => {
      thread.off('error', ended).off('exit', ended)
      thread.unref()
      idle.push(thread)
      resolve(answer)
    }).postMessage(job)
  })
  if ('error' in answer) throw new UnavailableError(`bcrypt: ${answer.error}`)
  return answer.value
}

function start (): Worker {
  const thread = new Worker(CODE, { eval: true, workerData: createRequire(import.meta.url).resolve('bcrypt'), execArgv: [], env: {} })
  // Else an error of a thread without a waiting request would end the process.
  return thread.on('error', () => {}).once('exit', () => {
    const index = idle.indexOf(thread)
    if (index >= 0) idle.splice(index, 1)
  })
}
