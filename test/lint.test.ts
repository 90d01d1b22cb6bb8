import { spawnSync } from 'node:child_process'
import t from 'tap'

/** Lines of a source file of src/ that the linter refuses, with the rules. */
function complaints (lines: string[]): string[] {
  const { NODE_OPTIONS: _, ...env } = process.env
  const { stdout } = spawnSync('npx', ['eslint', '--stdin', '--stdin-filename', 'src/sample.ts', '--format', 'json'], { input: `${lines.join('\n')}\n`, env, encoding: 'utf8' })
  const [result] = JSON.parse(stdout) as [{ messages: Array<{ line: number, ruleId: string }> }]
  return result.messages.map(({ line, ruleId }) => `${line} ${ruleId}`)
}

t.test('the static gates refuse what must not be written', async t => {
  const samples = [
    'export const a = Math.random()',
    'export const b = (db: any) => db.$queryRawUnsafe("x")',
    'export const c = (db: any) => db.$executeRawUnsafe("x")',
    'export const d = { trustProxy: true }',
    'export const e = { removeAdditional: true }',
    'export const f = (code: string, given: string) => code === given',
    'export const g = (row: any, given: string) => given !== row.hash'
  ]
  const found = complaints([...samples.map(sample => sample.replaceAll('"', "'")), "console.log('x')"])
  t.same(found, [...samples.map((_, index) => `${index + 1} no-restricted-syntax`), `${samples.length + 1} no-console`])
})

t.test('what is fine passes them', async t => {
  t.same(complaints([
    'export const f = (code: string | undefined) => code === undefined',
    "export const g = (row: any) => row.code === '42P04'"
  ]), [])
})
