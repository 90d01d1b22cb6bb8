/** Works at intervals, one round at a time. Answers how to stop it: what is under way ends. */
export function startRounds (intervalMs: number, onError: (error: unknown) => void, work: () => Promise<void>): () => Promise<void> {
  let round: Promise<void> | null = null
  const timer = setInterval(() => { round ??= work().catch(onError).finally(() => { round = null }) }, intervalMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await round
  }
}
