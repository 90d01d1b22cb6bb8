// Lets Node load TypeScript, where it is asked to run some: what scripts/test.mjs compiled needs no loader.
if (process.argv[1]?.endsWith('.ts')) await import('tsx')
