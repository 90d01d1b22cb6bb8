import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

/** The rules that each expression breaks in a source file of src/. (A process of its own, as eslint does not load under tsx.) */
function rulesBroken (expressions: string[]): string[][] {
  const { NODE_OPTIONS: _, ...env } = process.env
  const input = expressions.map((expression, index) => `export const a${index} = ${expression}\n`).join('')
  const { stdout } = spawnSync(process.execPath, [
    'node_modules/eslint/bin/eslint.js',
    '--stdin',
    '--stdin-filename',
    'src/sample.ts',
    '--format',
    'json'
  ], { input, env, encoding: 'utf8' })
  const [{ messages }] = JSON.parse(stdout) as [{ messages: Array<{ line: number, ruleId: string }> }]
  return expressions.map((_, index) => messages.filter(({ line }) => line === index + 1).map(({ ruleId }) => ruleId))
}

t.test('the static gates refuse what must not be written, in each spelling', async t => {
  const samples = {
    'no-restricted-properties': [
      'Math.random()',
      "Math['random']()",
      '() => { const { random } = Math; return random() }',
      "(db: any) => db.$queryRawUnsafe('x')",
      "(db: any) => db.$executeRawUnsafe('x')"
    ],
    'no-restricted-syntax': [
      '{ trustProxy: true }',
      '{ removeAdditional: true }',
      "{ removeAdditional: 'all' }",
      '(code: string, given: string) => code === given',
      '(row: any, given: string) => given !== row.hash',
      '(row: any, given: string) => row?.token === given',
      '(row: any, given: string) => row.secret! === given',
      '(codeHash: string, given: string) => given !== codeHash'
    ],
    'no-console': ["console.log('x')"]
  }
  const expressions = Object.values(samples).flat()
  const expected = Object.entries(samples).flatMap(([rule, lines]) => lines.map(() => [rule]))
  t.same(rulesBroken(expressions), expected, expressions.join('\n'))
})

t.test('what is fine passes them', async t => {
  const expressions = [
    '(code: string | undefined) => code === undefined',
    '(token: string | null) => token !== null',
    "(row: any) => row.code === '42P04'",
    "{ trustProxy: ['10.0.0.0/8'], removeAdditional: false }"
  ]
  t.same(rulesBroken(expressions), expressions.map(() => []))
})

t.test('no comment in src switches a gate off', async t => {
  const comments = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts') && !path.startsWith('platform/db/generated/'))
    .flatMap(path => readFileSync(`src/${path}`, 'utf8').match(/eslint-disable.*/g) ?? [])
  t.same(comments.filter(comment => !comment.startsWith('eslint-disable-next-line no-control-regex ')), [])
})
