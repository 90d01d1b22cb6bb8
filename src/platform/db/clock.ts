import type { ClockNews, ClockSkew } from '../clock-skew.ts'
import { startRounds } from '../rounds.ts'
import type { Database } from './client.ts'

const INTERVAL_MS = 1000

export interface ClockOptions {
  /** Hears what is new. */
  onNews: (news: ClockNews, seconds: number) => void
  /** The clock that is compared, in milliseconds. */
  now?: () => number
  intervalMs?: number
}

/** Compares our clock with the database's, now and again and again. Where that cannot be asked, what was known stays. */
export async function startComparingClocks (
  db: Database,
  skew: ClockSkew,
  { onNews, now = Date.now, intervalMs = INTERVAL_MS }: ClockOptions
): Promise<() => Promise<void>> {
  const compare = async (): Promise<void> => {
    const [startedAt, ours] = [performance.now(), now()]
    const [row] = await db.polls({ isWhole: false })<
      { theirs: number }
    >`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS theirs`
    const roundTripMs = performance.now() - startedAt
    const news = skew.measure(ours + roundTripMs / 2 - (row as { theirs: number }).theirs, roundTripMs)
    if (news !== undefined) onNews(news, skew.seconds)
  }
  // That the database cannot be asked is told by the call that needs it.
  const ignore = (): void => {}
  await compare().catch(ignore)
  return startRounds(intervalMs, ignore, compare)
}
