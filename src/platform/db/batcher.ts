import { UnavailableError } from '../unavailable.ts'

/** What is done for several at once: an answer for each, in their order. */
export type Send<Item, Answer> = (items: Item[]) => Promise<Answer[]>

interface Waiting { item: unknown, resolve: (answer: never) => void, reject: (error: unknown) => void }

interface Queue {
  send: Send<unknown, unknown>
  waiting: Waiting[]
  underWay: number
  timer: NodeJS.Timeout | undefined
}

export interface BatcherOptions {
  /** In one call at most; as many that wait are sent beside the one under way, so that one is decided while another is gathered. */
  maxBatchSize?: number
  /** An item waits at most so long for the call before its own, which may itself wait for a lock. */
  maxWaitMs?: number
}

/**
 * Makes one call to the database of all that wait while another of their kind is under way: the more there are, the less
 * each of them costs. Where there are few, each goes as it comes.
 */
export class Batcher {
  readonly #queues = new Map<string, Queue>()
  readonly #maxBatchSize: number
  readonly #maxWaitMs: number

  constructor ({ maxBatchSize = 8, maxWaitMs = 5 }: BatcherOptions = {}) {
    this.#maxBatchSize = maxBatchSize
    this.#maxWaitMs = maxWaitMs
  }

  /**
   * A call that is sent after this was asked: it knows all that was committed before.
   * @param key who has the same goes together, by the `send` of any of them
   */
  async load<Item, Answer> (key: string, item: Item, send: Send<Item, Answer>): Promise<Answer> {
    const queue = this.#queues.get(key) ?? { send: send as Send<unknown, unknown>, waiting: [], underWay: 0, timer: undefined }
    this.#queues.set(key, queue)
    return await new Promise<Answer>((resolve, reject) => {
      queue.waiting.push({ item, resolve, reject })
      // Waits one turn of the event loop, so that what was read from the network with it joins this batch.
      if (queue.waiting.length === 1) setImmediate(() => { this.#look(key, queue) })
    })
  }

  #look (key: string, queue: Queue): void {
    if (queue.waiting.length === 0) return
    if (queue.underWay === 0 || queue.waiting.length >= this.#maxBatchSize) void this.#send(key, queue)
    else queue.timer ??= setTimeout(() => { void this.#send(key, queue) }, this.#maxWaitMs)
  }

  async #send (key: string, queue: Queue): Promise<void> {
    clearTimeout(queue.timer)
    queue.timer = undefined
    const batch = queue.waiting.splice(0, this.#maxBatchSize)
    queue.underWay++
    const answered = answer(batch, queue.send)
    this.#look(key, queue)
    await answered
    queue.underWay--
    if (queue.underWay === 0 && queue.waiting.length === 0) this.#queues.delete(key)
    this.#look(key, queue)
  }
}

async function answer (batch: Waiting[], send: Send<unknown, unknown>): Promise<void> {
  try {
    const answers = await send(batch.map(({ item }) => item))
    if (answers.length !== batch.length) throw new UnavailableError('the database answered too few items of a batch')
    batch.forEach(({ resolve }, index) => { resolve(answers[index] as never) })
  } catch (error) {
    if (batch.length > 1 && isOfOne(error)) await Promise.all(batch.map(each => answer([each], send)))
    else for (const { reject } of batch) reject(error)
  }
}

/** Nothing of it happened, and what one of them failed by need not be the others'. */
const isOfOne = (error: unknown): boolean => error instanceof UnavailableError && error.undone === 'taken back'

/** As one call each, and as one of all. */
export interface Calls<Item, Answer> { single: (item: Item) => Promise<Answer | null>, batch: (sorted: Item[]) => Promise<Answer[] | null> }

/** One call for a single user; what locks rows of several is `byUser`. */
export async function singleOrBatch<Item extends { userId: string }, Answer> (
  items: Item[],
  { single, batch }: Calls<Item, Answer>
): Promise<Array<Answer | null>> {
  const [first, ...others] = items as [Item, ...Item[]]
  return others.length === 0 ? [await single(first)] : await byUser(items, batch)
}

/**
 * What locks rows of several users takes them in one order everywhere: no two calls then wait for each other. One user's are
 * decided in the order in which they came.
 */
export async function byUser<Item extends { userId: string }, Answer> (
  items: Item[],
  batch: Calls<Item, Answer>['batch']
): Promise<Array<Answer | null>> {
  const sorted = [...items].sort((a, b) => Number(a.userId > b.userId) - Number(a.userId < b.userId))
  const answers = await batch(sorted) as Answer[]
  return items.map(item => answers[sorted.indexOf(item)] as Answer)
}

/** What functions of several users take: a list of each thing. */
export const valuesOf = <Item, Name extends keyof Item>(items: Item[], name: Name): Array<Item[Name]> => items.map(item => item[name])
