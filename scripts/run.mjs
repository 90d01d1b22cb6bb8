// `node --import=./scripts/run.mjs FILE.ts`: how npm's scripts run a program of ours, in one process and from its sources.
// SIGUSR1 would open Node's inspector, and a user who may signal the process could then run code in it. `--disable-sigusr1` says the
// same, and stops a Node that does not know it: 20.19, for one.
process.on('SIGUSR1', () => {})
await import('tsx')
