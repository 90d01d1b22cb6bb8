// What each command says of itself, with --help and after a typing error. Nothing is opened or made for either.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { DATA_DIR } from '../../src/config/development.ts'
import { nodeArguments } from '../helpers/program.ts'

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
/** npm's commands that run a program of `src`, and the program that has a name of its own. */
const PROGRAMS = Object.entries(scripts).flatMap(([name, script]) => {
  const [, file] = / (src\/\S+\.ts)\b/.exec(script) ?? []
  return file === undefined
    ? []
    : [{
        name,
        file,
        called: file.endsWith('headless-mfa.ts') ? 'headless-mfa --test' : name === 'start' ? 'npm start' : `npm run ${name}`
      }]
})

interface Output { code: number, stdout: string, stderr: string }
const run = (file: string, ...args: string[]): Promise<Output> => new Promise(resolve => {
  execFile(
    process.execPath,
    nodeArguments(file, ...args),
    { env: { PATH: process.env.PATH, NODE_ENV: 'production' } },
    (error, stdout, stderr) => {
      resolve({ code: (error?.code ?? 0) as number, stdout, stderr })
    })
})

t.test('every command says with --help what it does, in lines that fit, and with an option that is none what is wrong and the ' +
  'same', async t => {
  t.ok(PROGRAMS.length > 12)
  t.same(
    readdirSync('src/cli').filter(name =>
      /^(admin|audit-verify|code|demo|headless-mfa|import|keys|maintain|migrate.*|openapi|reset|token)\.ts$/.test(name)
    ).length + 1,
    PROGRAMS.length,
    'the service, and each of the programs'
  )
  const hadData = existsSync(DATA_DIR)
  for (const { file, called } of PROGRAMS) {
    const help = await run(file, '--help')
    t.match(help, { code: 0, stderr: '' }, file)
    t.ok(help.stdout.startsWith(called), `${file}: ${help.stdout.split('\n', 1)[0] as string}`)
    t.ok(help.stdout.split('\n').length > 3, `${file}: says more than how it is called`)
    t.ok(help.stdout.split('\n').every(line => line.length <= 140), file)
    t.match(await run(file, '-h'), { code: 0, stdout: help.stdout }, file)
    const wrong = await run(file, '--no-such-option')
    t.match(wrong, { code: 2, stdout: '' }, file)
    t.match(wrong.stderr, /^Unknown option '--no-such-option'\.\n\n/, file)
    t.ok(wrong.stderr.includes(help.stdout), `${file}: and how to call it`)
    t.notMatch(wrong.stderr, /\n +at /, file)
  }
  t.equal(existsSync(DATA_DIR), hadData)
})

t.test('a call that lacks something says what', async t => {
  const calls: Array<[file: string, args: string[], why: RegExp]> = [
    ['src/cli/code.ts', [], /^Name the secret\.\n\nnpm run code/],
    ['src/cli/code.ts', ['12345'], /^That is no secret: base32/],
    ['src/cli/token.ts', [], /^--sub is missing\.\n\nnpm run token/],
    ['src/cli/token.ts', ['--sub', 'x', '--ttl', 'long'], /^--ttl is no duration: 90s, 15m, 2h and 1d are\.\n\nnpm run token/],
    ['src/cli/keys.ts', ['rotate'], /^rotate needs a purpose: sealing, pepper, signing\.\n\nnpm run keys/],
    ['src/cli/keys.ts', ['melt', 'sealing'], /^There is no command "melt"\.\n\nnpm run keys/],
    ['src/cli/keys.ts', ['retire', 'sealing'], /^retire takes a purpose and one id\.\n\n/],
    ['src/cli/keys.ts', ['add', 'sealing', 'x'], /^add takes a purpose alone\.\n\n/],
    ['src/cli/keys.ts', ['status', 'sealing'], /^status takes nothing else\.\n\n/],
    ['src/cli/migrate.ts', ['--rolled-back'], /^Option '--rolled-back <value>' argument missing\.\n\nnpm run migrate/],
    [
      'src/cli/audit-verify.ts',
      ['--checkpoint', `1:${'0'.repeat(64)}`],
      /^--checkpoint is of one tenant: add --tenant\.\n\nnpm run audit:verify/
    ],
    ['src/cli/headless-mfa.ts', [], /^--test is missing\.\n\nheadless-mfa --test/],
    ['src/cli/headless-mfa.ts', ['--test', '--set', 'FOO=bar'], /^--set: FOO is not known/],
    ['src/cli/reset.ts', ['now'], /^Unexpected argument 'now'\.\n\nnpm run reset/]
  ]
  for (const [file, args, why] of calls) {
    const { code, stderr } = await run(file, ...args)
    t.equal(code, 2, `${file} ${args.join(' ')}`)
    t.match(stderr, why)
  }
})

t.test('nothing is thrown away where no one can be asked', async t => {
  t.match(await run('src/cli/reset.ts'), {
    code: 1,
    stdout: '',
    stderr: 'Nothing was thrown away, because there is no terminal to ask on. Add --yes: npm run reset -- --yes\n'
  })
})
