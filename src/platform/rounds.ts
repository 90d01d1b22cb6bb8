/** However long the interval is: what a crash or a lost connection has left undone is done soon. */
export const SOON_MS = 5000

/**
 * Works at intervals, one round at a time: the first one soon, and one soon after each that failed. Answers how to stop it: what is
 * under way ends.
 */
export function startRounds (intervalMs: number, onError: (error: unknown) => void, work: () => Promise<void>): () => Promise<void> {
  const soonMs = Math.min(intervalMs, SOON_MS)
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let round: Promise<void> | undefined

  async function go (): Promise<void> {
    let nextMs = intervalMs
    try {
      await work()
    } catch (error) {
      nextMs = soonMs
      onError(error)
    }
    if (!isStopped) wait(nextMs)
  }
  function wait (ms: number): void {
    timer = setTimeout(() => { round = go() }, ms)
    timer.unref()
  }
  wait(soonMs)
  return async () => {
    isStopped = true
    clearTimeout(timer)
    await round
  }
}
