import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from './database.ts'

/** What a measurement has left to do is done: every event is in its chain. */
export async function untilChained ({ client }: Database): Promise<void> {
  for (;;) {
    const { rows: [{ isDone }] } = await client.query('SELECT NOT EXISTS (SELECT 1 FROM audit_pending) AS "isDone"')
    if (isDone === true) return
    await sleep(50)
  }
}
