// What each process of tap's loads first.
import onSpawn from 'process-on-spawn'

// Else tap gives its own loader to each program that a test starts.
onSpawn.removeAllListeners()
// Lets Node load TypeScript, where it is asked to run some: what scripts/test.mjs compiled needs no loader.
if (process.argv[1]?.endsWith('.ts')) await import('tsx')
if (process.env.TEST_COVERAGE !== undefined) await import('./note-coverage.mjs')
