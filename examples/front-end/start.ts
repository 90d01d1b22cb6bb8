import { ACCOUNTS } from './back-end/people.ts'
import { startExample } from './example.ts'

/** `npm run example`: until Ctrl-C, and then nothing is left. */
let isAsked = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { isAsked = true })
try {
  const { origin, stop } = await startExample({ port: Number(process.env.PORT ?? 8080) })
  const end = async (): Promise<never> => { await stop(); process.exit(0) }
  if (isAsked) await end()
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { void end() })
  const lines = ACCOUNTS.map(({ name, password, hasSso, roles }) => `  ${name.padEnd(6)} ${[password !== undefined ? `password "${password}"` : '', hasSso === true ? 'company sign-in' : ''].filter(text => text !== '').join(', or by ')}${roles === undefined ? '' : ' (administrator)'}`)
  process.stdout.write(`\n  ${origin}\n\n${lines.join('\n')}\n\n  Ctrl-C ends it, and all that it holds.\n`)
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
}
