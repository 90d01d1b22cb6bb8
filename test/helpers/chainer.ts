// Processes of their own that chain one tenant's events, as a replica with the lease does.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { program } from './program.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

/** Ended after the test, if it has not ended before. */
export async function startChainer (t: Teardown, url: string, tenant: string): Promise<ChildProcess> {
  const { file, execArgv } = program('test/helpers/chain-process.ts')
  const child = fork(file, [url, tenant], { execArgv })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.disconnect()
    await exit
  })
  await once(child, 'message')
  return child
}

/** How many events it has chained. */
export const chain = async (child: ChildProcess): Promise<number> => {
  const answer = once(child, 'message')
  child.send('chain')
  return (await answer as [number])[0]
}
