import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts') && !path.startsWith(join('db', 'generated')))
  .map(path => path.replaceAll('\\', '/'))

/** Which part of the tree a file belongs to: a feature is a part of its own. */
function partOf (path: string): string {
  const feature = /^(mfa|admin)\/[a-z-]+\//.exec(path)
  if (feature !== null) return `feature:${feature[0]}`
  if (path === 'config.ts' || path.startsWith('config/')) return 'config'
  if (path === 'gate.ts' || path === 'services.ts' || path === 'secrets.ts' || path === 'notices.ts' || path === 'audit.ts' || path === 'bcrypt-threads.ts') return 'gate'
  if (path === 'mfa/schema.ts') return 'shared schema'
  return path.includes('/') ? path.split('/')[0] as string : path.replace('.ts', '')
}

const stageOf = (path: string): string => path.split('/').at(-1) as string

/** What each part may import: imports run one way. */
function mayImport (from: string, to: string): boolean {
  const [source, target] = [partOf(from), partOf(to)]
  if (source.startsWith('feature:')) {
    // Its stages know no other stage; only the route puts them together.
    switch (stageOf(from)) {
      case 'schema.ts': return target === 'shared schema'
      case 'decide.ts': return ['core', 'factors'].includes(target)
      case 'store.ts': return ['core', 'factors', 'db'].includes(target)
      default: return source === target || ['core', 'factors', 'db', 'http', 'gate', 'config'].includes(target)
    }
  }
  if (source === target) return true
  switch (source) {
    case 'core': return false
    case 'shared schema': case 'config': case 'http': return target === 'core'
    // A kind of factor decides, and says what its calls take; it reads and writes nothing.
    case 'factors': return ['core', 'config', 'shared schema'].includes(target)
    case 'db': return ['core', 'factors'].includes(target)
    case 'gate': return ['core', 'factors', 'db', 'http', 'config'].includes(target)
    case 'import': return ['core', 'factors', 'db', 'shared schema'].includes(target)
    case 'dev': return target === 'config'
    case 'app': return !['server', 'cli'].includes(target)
    case 'server': case 'cli': return true
    default: return false
  }
}

const imports = files.flatMap(from => [...readFileSync(`src/${from}`, 'utf8').matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([line, to]) => ({ from, to: to as string, line })))

t.test('imports run one way: server → app → features → core, and no feature knows another', async t => {
  t.ok(imports.length > 100, 'they were found')
  const wrong = imports
    .filter(({ to }) => to.startsWith('.'))
    .map(({ from, to }) => ({ from, to: normalize(join(dirname(from), to)) }))
    .filter(({ from, to }) => !to.startsWith('db/generated/') || from !== 'db/client.ts')
    .filter(({ from, to }) => !mayImport(from, to))
  t.same(wrong, [])
})

const isPure = (path: string): boolean => ['core', 'factors'].includes(partOf(path))

t.test('core and the kinds of factor are pure: node:crypto and the libraries of codes, signatures, hashes, addresses and schemas, nothing that reads or writes', async t => {
  const allowed = ['node:crypto', 'node:zlib', 'jose', 'otpauth', 'qrcode', 'ipaddr.js', 'lru-cache', 'typebox']
  t.same(imports.filter(({ from, to }) => isPure(from) && !to.startsWith('.') && !allowed.includes(to)), [])
  t.same(files.filter(path => isPure(path) && /new Date\(\)|Date\.now\(\)|process\./.test(readFileSync(`src/${path}`, 'utf8'))), [])
})

/** Whatever holds a statement: a tagged template of any tag, with any type argument, or a plain text; and the call of a settlement. */
function statementsIn (path: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const isText = ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateHead(node)
    if (isText && /^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE|CALL|LOCK) /.test(node.text)) found.push(node.text.trim())
    const isSettlement = ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) && node.expression.name.text === 'settle'
    if (isSettlement) found.push(`settle ${(node.arguments[0] as ts.StringLiteral).text}`)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, readFileSync(`src/${path}`, 'utf8'), ts.ScriptTarget.Latest))
  return found
}

t.test('SQL stands in stores, in db/ and nowhere else', async t => {
  t.ok(files.flatMap(statementsIn).length > 90, 'they were found')
  const mayHoldSql = (path: string): boolean => path.startsWith('db/') || stageOf(path) === 'store.ts'
  t.same(files.filter(path => !mayHoldSql(path)).flatMap(path => statementsIn(path).map(sql => `${path}: ${sql}`)), [])
})

/** Texts of a file in which a kind of factor is called by its name, as a whole or as the first word of an action. */
function kindsNamedIn (path: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node)
    if (isText && /^totp(\.|$)/.test(node.text)) found.push(`${path}: ${node.text}`)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, readFileSync(`src/${path}`, 'utf8'), ts.ScriptTarget.Latest))
  return found
}

t.test('a kind of factor is known by name in its own folder alone, and to those that bring its secrets from elsewhere', async t => {
  t.ok(kindsNamedIn('factors/totp/totp.ts').length > 0, 'it would be found')
  t.same(files.filter(path => !path.startsWith('factors/totp/') && partOf(path) !== 'import').flatMap(kindsNamedIn), [])
  const known = imports.filter(({ from, to }) => normalize(join(dirname(from), to)).startsWith('factors/totp/') && !from.startsWith('factors/totp/')).map(({ from }) => from)
  t.same([...new Set(known)].sort(), ['cli/code.ts', 'cli/demo.ts', 'factors/registry.ts', 'import/run.ts'], 'whoever else needs one of its files asks the registry')
  const functions = readdirSync('prisma/functions', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.sql'))
  t.same(functions.filter(path => /'totp/.test(readFileSync(join('prisma/functions', path), 'utf8'))), [], 'nor to a function of the database')
})

t.test('a file can be read at a sitting', async t => {
  t.same(files.filter(path => readFileSync(`src/${path}`, 'utf8').split('\n').length > 220), [])
})

/** Words of our own for what the field has a word for: left what it is called, right what it was. */
const GLOSSARY: Record<string, RegExp> = {
  user: /\b(person|\w*Person|\w+_person|persons)\b/,
  'login type': /\b(door|\w*Door|JWT_DOOR)\b/,
  'revocation, RevocationCache': /\b(endings|Endings?|\w*_endings?|EndingsPoll)\b/,
  tombstone: /\b(Trace|traceOf|[vp]_trace)\b(?! Context)/,
  'authorization cache': /\b(Passes|PASS_SECONDS)\b/,
  'semaphore, LRU cache': /\b(Turns|putLast)\b/,
  'batch, Batcher': /\b(Together|settleTogether|inOrder)\b/,
  throttled: /\b(closedBy|refuseClosed|v_closed)\b/,
  'policy contact': /\b(noteOf|settleNote|note_\w*(person|user))\b/,
  'key check value': /\bcanary\b/,
  'lock_, upsert_, bump_': /\b(hold_user|hold_throttle|see_user|move_epoch)\b/
}

t.test('the words are the field\'s: none that the glossary has replaced stands in the sources, the docs or the API', async t => {
  const of = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(path => `${folder}/${path}`)
  const texts = [...files.map(path => `src/${path}`), ...of('prisma/functions'), ...of('docs'), 'prisma/schema.prisma', 'README.md', 'SECURITY.md', 'openapi.yaml']
    .filter(path => /\.(ts|sql|md|prisma|yaml)$/.test(path))
  t.ok(texts.length > 250, 'they were found')
  const found = texts.flatMap(path => {
    const text = `${path}\n${readFileSync(path, 'utf8')}`
    return Object.entries(GLOSSARY).filter(([, word]) => word.test(text)).map(([use, word]) => `${path}: ${word.exec(text)?.[0] as string}, which is called: ${use}`)
  })
  t.same(found, [])
})

t.test('the index of the tests\' helpers has each of them, and no other', async t => {
  const dir = 'test/helpers'
  const named = [...readFileSync(join(dir, 'README.md'), 'utf8').matchAll(/`([a-z-]+\.m?[tj]s)`/g)].map(([, name]) => name as string)
  t.same([...new Set(named)].sort(), readdirSync(dir).filter(name => name !== 'README.md').sort())
})
