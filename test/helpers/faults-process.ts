// A process of its own that waits until the run of faults which has started it is gone, and clears up after it.
import { clear } from '../faults/servers.ts'

// Ctrl-C is for the run; this ends after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.once('disconnect', () => { void clear(process.argv[2] as string).then(() => { process.exit() }) })
