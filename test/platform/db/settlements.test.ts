// What the functions that decide may answer: what TypeScript knows of it is what their SQL says.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import type { Settled } from '../../../src/platform/db/settlements.ts'

const FOLDER = 'prisma/functions'
const bodies = new Map(readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.sql'))
  .map(path => [basename(path, '.sql'), readFileSync(join(FOLDER, path), 'utf8').replace(/--.*/g, '')]))

/** What each call makes an error of, whichever function it is. */
const THROWN = ['lost', 'actor_gone']

/** Those of several users at once answer a list, of what one of these would have answered. */
const OF_LISTS: Record<string, string[]> = {
  accept_factors: ['accept_factor'],
  refuse_factors: ['refuse_factor'],
  settle_factors: ['accept_factor', 'refuse_factor']
}

/** What a function answers itself, and what those that it hands on answer. */
function outcomesInSql (name: string): Set<string> {
  const body = bodies.get(name) as string
  const own = [
    ...[...body.matchAll(/'outcome', '(\w+)'|"outcome": "(\w+)"/g)].map(([, one, other]) => one ?? other as string),
    ...[...body.matchAll(/'outcome', CASE WHEN .+? THEN '(\w+)' ELSE '(\w+)' END/g)].flatMap((
      [, one, other]
    ) => [one as string, other as string])
  ]
  const handedOn = [...body.matchAll(/(?:RETURN|:=|\|\|) (\w+)\(/g)].map(([, callee]) => callee as string).filter(callee =>
    callee !== name && bodies.has(callee)
  )
  return new Set([...own, ...handedOn.flatMap(callee => [...outcomesInSql(callee)])].filter(outcome => !THROWN.includes(outcome)))
}

/** The outcomes of each member of `Settlements`, as the compiler has them. */
function outcomesInTypeScript (): Map<string, Set<string>> {
  const program = ts.createProgram(['src/platform/db/settlements.ts'], {
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext
  })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile('src/platform/db/settlements.ts') as ts.SourceFile
  const node = source.statements.find(statement =>
    ts.isInterfaceDeclaration(statement) && statement.name.text === 'Settlements'
  ) as ts.InterfaceDeclaration
  return new Map(checker.getTypeAtLocation(node).getProperties().map(property => {
    const answer = checker.getTypeOfSymbol(property)
    const outcome = checker.getTypeOfSymbol(answer.getProperty('outcome') as ts.Symbol)
    return [property.name, new Set((outcome.isUnion() ? outcome.types : [outcome]).map(type => (type as ts.StringLiteralType).value))]
  }))
}

const known = outcomesInTypeScript()

// @ts-expect-error a misspelt outcome does not compile
export const isMisspelt = ({ outcome }: Settled<'sign_out'>): boolean => outcome === 'signedout'

t.test('what a function may answer, its callers know, and nothing else', async t => {
  t.ok(known.size > 40, 'they were found')
  for (const [name, outcomes] of known) t.same([...outcomes].sort(), [...outcomesInSql(name)].sort(), name)
})

t.test('a function that decides is known, or is a part of one that is', async t => {
  const deciding = [...bodies.keys()].filter(name => outcomesInSql(name).size > 0 && !known.has(name) && OF_LISTS[name] === undefined)
  const isPart = (name: string): boolean => [...bodies].some(([other, body]) => other !== name && body.includes(`${name}(`))
  t.same(deciding.filter(name => !isPart(name)), [])
  for (const [list, names] of Object.entries(OF_LISTS)) {
    t.same([...outcomesInSql(list)].filter(outcome => !names.some(name => known.get(name)?.has(outcome) === true)), [], list)
  }
})
