import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import { startService } from '../../../test/helpers/service.ts'

const HERE = join(import.meta.dirname, '..')

t.test('it needs no more of a platform than fetch and timers, as React Native has them too', async t => {
  const service = await startService(t)
  const user = service.user()
  const { outputFiles: [bundle] } = await build({
    entryPoints: [join(HERE, 'src/index.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'lib',
    write: false
  })
  const context = createContext({ fetch, setTimeout, clearTimeout, token: user.token(), url: service.url })
  runInContext(bundle?.text as string, context)
  const status = runInContext('lib.createMfaClient({ baseUrl: url, getToken: () => token, onToken: () => {} }).getStatus()', context)
  t.match(await status, { subject: user.sub })
  t.match(await runInContext('lib.createMfaClient({ baseUrl: url, getToken: () => "" }).getStatus().catch(lib.problemOf)', context), {
    code: 'invalid_token'
  })
})

t.test('what is published can be installed, imported by Node and compiled against, in a folder of its own', async t => {
  const dir = t.testdir()
  const consumer = join(dir, 'node_modules/@headless-mfa')
  mkdirSync(consumer, { recursive: true })
  const npm = (args: string[], cwd: string): string =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const [{ filename, files }] = JSON.parse(
    npm(['pack', '--json', '--ignore-scripts=false', '--loglevel=error', '--pack-destination', dir], HERE).replace(/^[^[]*/s, '')
  ) as [{ filename: string, files: Array<{ path: string }> }]
  t.teardown(() => { rmSync(join(HERE, 'dist'), { recursive: true, force: true }) })
  t.same(files.map(({ path }) => path).filter(path => !/^dist\/\w+\.(js|d\.ts)$/.test(path)).sort(), [
    'LICENSE',
    'README.md',
    'package.json'
  ])
  execFileSync('tar', ['-xzf', join(dir, filename), '-C', consumer])
  execFileSync('mv', [join(consumer, 'package'), join(consumer, 'client')])
  const { dependencies, version } = JSON.parse(readFileSync(join(consumer, 'client/package.json'), 'utf8'))
  t.equal(dependencies, undefined)
  t.equal(version, JSON.parse(readFileSync('package.json', 'utf8')).version, 'its version is the service\'s')

  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(dir, 'app.ts'), `import { createMfaClient, problemOf, type Status } from '@headless-mfa/client'
    import { isSupported, provePasskey } from '@headless-mfa/client/passkeys'
    const mfa = createMfaClient({ baseUrl: 'http://127.0.0.1:1', onStepUp: ({ acr }) => provePasskey(mfa, { acr }).then(() => true) })
    if (isSupported()) throw new Error('Node has no passkeys')
    const status: Status | string = await mfa.getStatus().catch(error => problemOf(error).code)
    console.log(status)
    // @ts-expect-error -- a code is text
    void mfa.verify({ code: 123456 }).catch(() => {})`)
  const tsc = join(HERE, '../../node_modules/.bin/tsc')
  // As in a browser's project, without what Node adds.
  writeFileSync(
    join(dir, 'tsconfig.json'),
    '{ "compilerOptions": { "strict": true, "exactOptionalPropertyTypes": true, "target": "es2022", "module": "nodenext", "lib": ' +
    '["es2022", "dom"], "types": [] }, "files": ["app.ts"] }'
  )
  execFileSync(tsc, ['-p', dir])
  t.equal(execFileSync(process.execPath, ['app.js'], { cwd: dir, encoding: 'utf8' }).trim(), 'unreachable')
})
