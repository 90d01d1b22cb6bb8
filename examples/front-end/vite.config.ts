import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const CLIENT = new URL('../../clients/typescript/src/', import.meta.url)

export default defineConfig({
  // In your project it is a dependency, and these are not here.
  resolve: {
    alias: [
      { find: '@headless-mfa/client/passkeys', replacement: fileURLToPath(new URL('passkeys.ts', CLIENT)) },
      { find: '@headless-mfa/client', replacement: fileURLToPath(new URL('index.ts', CLIENT)) }
    ]
  },
  build: { emptyOutDir: true, target: 'es2022' }
})
