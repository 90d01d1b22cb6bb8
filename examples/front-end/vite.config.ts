import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  // In your project it is a dependency, and this is not here.
  resolve: { alias: { '@headless-mfa/client': fileURLToPath(new URL('../../clients/typescript/src/index.ts', import.meta.url)) } },
  build: { emptyOutDir: true, target: 'es2022' }
})
