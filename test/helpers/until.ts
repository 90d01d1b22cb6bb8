// Waiting for what comes of itself: a row, an answer, a process.
import { setTimeout as sleep } from 'node:timers/promises'

interface Patience { withinMs?: number, everyMs?: number }

/** Asks again and again until the answer is neither false nor nothing, and gives it. A bound that is long even on a busy machine. */
export async function until<T> (ask: () => T | Promise<T>, { withinMs = 30_000, everyMs = 20 }: Patience = {}): Promise<NonNullable<T>> {
  for (const end = performance.now() + withinMs; ; await sleep(everyMs)) {
    const answer = await ask()
    if (answer) return answer
    if (performance.now() > end) throw new Error(`After ${withinMs / 1000} s still not so: ${ask.toString()}`)
  }
}
