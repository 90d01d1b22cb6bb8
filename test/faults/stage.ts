// What a run of faults plays on: two replicas over a PostgreSQL of their own, behind a proxy that misbehaves when it is told to, a
// standby of that server, a webhook endpoint, and people at work.
import { join } from 'node:path'
import { readConfig } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { type Proxy, startProxy } from '../helpers/proxy.ts'
import { TestEndpoint } from '../helpers/webhook-endpoint.ts'
import { testEnvironment } from '../helpers/service.ts'
import { temporaryDir } from '../helpers/temporary.ts'
import { Driver } from './driver.ts'
import { enrollPeople, type Person } from './people.ts'
import { Replica } from '../helpers/replica-server.ts'
import { type Server, startServers } from './servers.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export interface Stage {
  dir: string
  /** Where the first server's files are, if they have a small disk of their own. */
  disk: string | undefined
  /** That leads; and the one that follows it. */
  server: Server
  second: Server
  proxy: Proxy
  replicas: [Replica, Replica]
  env: Record<string, string>
  secrets: Secrets
  driver: Driver
  people: Person[]
  endpoint: TestEndpoint
}

export async function startStage (t: Teardown, peopleOfEach: number): Promise<Stage> {
  const dir = temporaryDir('faults')
  const { first, second, disk } = await startServers(t, dir)
  const proxy = await startProxy(t, first.url)
  const endpoint = await new TestEndpoint().start(t)
  const env = {
    ...testEnvironment(),
    ...endpoint.environment,
    DATABASE_URL: proxy.url,
    JWT_SESSION_CLAIM: 'sid',
    // No user waits for others' guesses, so that each wrong code is looked at.
    THROTTLE_WAITS: '0',
    THROTTLE_LOCK: '100',
    THROTTLE_DAY: '100',
    THROTTLE_MONTH: '300',
    PRE_STOP_SECONDS: '1',
    LOG_LEVEL: 'warn'
  }
  const replicas: Stage['replicas'] = [await Replica.make(t, 'a', join(dir, 'a.log')), await Replica.make(t, 'b', join(dir, 'b.log'))]
  await Promise.all(replicas.map(replica => replica.start(env)))
  const driver = new Driver(replicas)
  const [secrets, people] = [new Secrets(readConfig(env)), await enrollPeople(driver, peopleOfEach)]
  return { dir, disk, server: first, second, proxy, replicas, env, secrets, driver, people, endpoint }
}
