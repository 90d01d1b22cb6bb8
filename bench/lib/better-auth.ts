// What a team would use instead, on the same server and in the same run; installed where it is not there yet.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Secret } from 'otpauth'
import { codeAt } from '../../src/factors/totp/totp.ts'
import { currentStep } from './enrolled.ts'
import { CODE_PLACE, type Group, request } from './load.ts'
import { freePort } from './service.ts'

const peers = fileURLToPath(new URL('../peers/', import.meta.url))

export interface Peer {
  url: string
  pid: number
  /** The second steps of so many sign-ins, whose first steps are done now. */
  logins: (count: number) => Promise<Pick<Group, 'requests' | 'codes'>>
  stop: () => void
}

/** @throws where it cannot be installed */
export async function startBetterAuth (databaseUrl: string, users: number): Promise<Peer> {
  if (!existsSync(`${peers}node_modules/better-auth`)) {
    execFileSync('npm', [
      'install',
      '--no-package-lock',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--omit=dev',
      '--omit=optional',
      '--omit=peer'
    ], { cwd: peers, stdio: 'pipe' })
  }
  const port = await freePort()
  const child = fork(`${peers}better-auth.mjs`, {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', PORT: String(port), DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc']
  })
  const answer = async <T>(): Promise<T> => {
    const done = new AbortController()
    const [report] = await Promise.race([
      once(child, 'message', { signal: done.signal }),
      once(child, 'exit', { signal: done.signal }).then(() => {
        throw new Error('better-auth ended')
      })
    ]).finally(() => {
      done.abort()
    })
    return report
  }
  const { url, secret } = await answer<{ url: string, secret: string }>()
  const code = (step: number): string => codeAt(Secret.fromBase32(secret).bytes, step)
  child.send({ enrolled: code(currentStep()), copies: users })
  await answer()
  let next = 0
  return {
    url,
    pid: child.pid as number,
    async logins (count) {
      child.send({ signIns: Array.from({ length: count }, () => 1 + next++ % users) })
      const { cookies } = await answer<{ cookies: string[] }>()
      return {
        requests: cookies.map(cookie =>
          request({
            method: 'POST',
            path: '/api/auth/two-factor/verify-totp',
            body: { code: CODE_PLACE },
            headers: { cookie, origin: url }
          })
        ),
        codes: { firstStep: currentStep(), codes: Array.from({ length: 120 }, (_, index) => code(currentStep() + index)) }
      }
    },
    stop () { child.disconnect() }
  }
}
