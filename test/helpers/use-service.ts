// Services that the tests of a process use one after the other: a start is most of what a small test costs, and what it has compiled
// and prepared is there for the next one. For tests that find nothing but what is of their own tenants, and change nothing else.
import root from 'tap'
import { ofTest, type Own, type Running, runService, type Service, TestClock } from './service.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

interface Shared { own: Own, running: Running }

const free = new Map<string, Shared[]>()

/** A running service, with a clock and a log for this test, which has it to itself until it ends. */
export async function useService (t: Teardown, env: Record<string, string | undefined> = {}): Promise<Service> {
  const kind = JSON.stringify(Object.entries(env))
  const those = free.get(kind) ?? []
  free.set(kind, those)
  const own = { clock: new TestClock(), log: [] }
  const shared = those.pop() ?? await start(own, env)
  shared.own = own
  t.teardown(() => { those.push(shared) })
  return ofTest(shared.running, own)
}

async function start (own: Own, env: Record<string, string | undefined>): Promise<Shared> {
  const shared: Partial<Shared> & { own: Own } = { own }
  shared.running = await runService(root, () => shared.own, env)
  return shared as Shared
}
