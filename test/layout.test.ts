import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts') && !path.startsWith(join('platform', 'db', 'generated')))
  .map(path => path.replaceAll('\\', '/'))

const treeOf = (path: string): ts.SourceFile => ts.createSourceFile(path, readFileSync(`src/${path}`, 'utf8'), ts.ScriptTarget.Latest)

/** What a file imports, in whatever way it is written: `import`, `export … from`, `import()`, a type's `import('…')`. */
function importsOf (path: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      found.push((node.moduleSpecifier as ts.StringLiteral).text)
    }
    if (
      ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      ts.isStringLiteralLike(node.arguments[0] as ts.Expression)
    ) found.push((node.arguments[0] as ts.StringLiteral).text)
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) found.push((node.argument.literal as ts.StringLiteral).text)
    ts.forEachChild(node, visit)
  }
  visit(treeOf(path))
  return found
}

const imports = files.flatMap(from => importsOf(from).map(to => ({ from, to })))
const ours = imports.filter(({ to }) => to.startsWith('.')).map(({ from, to }) => ({ from, to: normalize(join(dirname(from), to)) }))

const NOUNS = ['audit', 'devices', 'factors', 'gateway', 'keys', 'maintenance', 'policy', 'sessions', 'users', 'webhooks']
/** The first folder of a path, or the file itself where it lies in none. */
const partOf = (path: string): string => path.includes('/') ? path.split('/')[0] as string : path.replace('.ts', '')
const stageOf = (path: string): string => path.split('/').at(-1) as string
/** Of a route's folder: what is put together there, and no other folder's business. */
const isStage = (path: string): boolean =>
  NOUNS.includes(partOf(path)) && ['route.ts', 'schema.ts', 'store.ts', 'decide.ts'].includes(stageOf(path)) && path !== 'policy/decide.ts'

/** What each part may import: imports run one way. */
function mayImport (from: string, to: string): boolean {
  const [source, target] = [partOf(from), partOf(to)]
  switch (source) {
    // The one list of what the functions of the database answer names types of those whose functions they are.
    case 'platform':
      return target === 'platform' || (from === 'platform/db/settlements.ts' && ['factors', 'keys', 'policy', 'webhooks'].includes(target))
    case 'http': return ['http', 'platform'].includes(target)
    case 'config':
      return ['config', 'platform'].includes(target) ||
        /^http\/auth\/(issuer|mfa-claims)\.ts$|^keys\/keys\.ts$|^policy\/floor\.ts$/.test(to)
    case 'guard': case 'telemetry': return ['http', 'platform'].includes(target) || (NOUNS.includes(target) && !isStage(to))
    case 'services': return ['config', 'guard', 'http', 'platform'].includes(target) || (NOUNS.includes(target) && !isStage(to))
    case 'import': return ['import', 'platform'].includes(target) || to === 'http/schema.ts' || (NOUNS.includes(target) && !isStage(to))
    case 'app': return !['server', 'cli', 'import', 'maintenance'].includes(target)
    case 'cli': case 'server': return true
    default: return NOUNS.includes(source) && mayNounImport(from, to)
  }
}

/** Stages know no stage of another folder, and only the route puts those of its own together. */
function mayNounImport (from: string, to: string): boolean {
  const target = partOf(to)
  if (isStage(to) && (stageOf(from) !== 'route.ts' || dirname(from) !== dirname(to))) return isUsedBeside(from, to)
  if (stageOf(from) === 'schema.ts') {
    return to === 'http/schema.ts' || (target === 'factors' && !to.endsWith('.sql.ts')) || target === 'platform'
  }
  if (stageOf(from) === 'store.ts') return target !== 'http' && target !== 'services' && target !== 'guard'
  return [...NOUNS, 'http', 'config', 'platform', 'services', 'guard'].includes(target)
}

/** A file beside a route may use its stages, and a folder in a folder those of the one around it. */
const isUsedBeside = (from: string, to: string): boolean => !isStage(from)
  ? dirname(from) === dirname(to)
  : stageOf(from) === 'route.ts' && dirname(from).startsWith(`${dirname(to)}/`)

t.test('imports run one way: server → app → the nouns → http, platform', async t => {
  t.ok(ours.length > 600, 'they were found')
  const wrong = ours.filter(({ from, to }) => !to.startsWith('platform/db/generated/') || from !== 'platform/db/client.ts').filter((
    { from, to }
  ) => !mayImport(from, to))
  t.same(wrong, [])
})

t.test('no file imports itself by way of others, not even its types', async t => {
  const open = new Map(
    files.map(path => [path, new Set(ours.filter(({ from, to }) => from === path && files.includes(to)).map(({ to }) => to))])
  )
  for (let last = -1; last !== open.size;) {
    last = open.size
    for (const [path, needed] of open) {
      for (const to of needed) if (!open.has(to)) needed.delete(to)
      if (needed.size === 0) open.delete(path)
    }
  }
  t.same([...open.keys()], [], 'one after the other, each could be read after all that it imports')
})

/** What decides: the rules of a noun, without a route, a statement, a key ring that turns or a worker. */
const isPure = (path: string): boolean => NOUNS.includes(partOf(path)) && !path.endsWith('.sql.ts') &&
  !/(^|\/)(route|store|start|keeper|sender|issue|ask|pages|forwarded|target|change|problem|settlement)\.ts$/.test(path)

t.test('what decides is pure: node:crypto and the libraries of codes, signatures, hashes, addresses and schemas, nothing that ' +
  'reads or writes', async t => {
  const allowed = [
    'node:crypto',
    'node:zlib',
    'jose',
    'otpauth',
    'qrcode',
    'ipaddr.js',
    'lru-cache',
    'typebox',
    '@simplewebauthn/server',
    '@simplewebauthn/server/helpers'
  ]
  t.ok(files.filter(isPure).length > 50, 'they were found')
  t.same(imports.filter(({ from, to }) => isPure(from) && !to.startsWith('.') && !allowed.includes(to)), [])
  t.same(ours.filter(({ from, to }) => isPure(from) && (to.endsWith('.sql.ts') || to.startsWith('platform/db/'))), [])
  t.same(files.filter(path => isPure(path) && /new Date\(\)|Date\.now\(\)|process\./.test(readFileSync(`src/${path}`, 'utf8'))), [])
})

t.test('http and platform know no path of the API but their own', async t => {
  const found = files.filter(path => ['http', 'platform'].includes(partOf(path))).flatMap(path => {
    const texts: string[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isStringLiteralLike(node) && /^\/(mfa|admin)\b/.test(node.text)) texts.push(`${path}: ${node.text}`)
      if (ts.isRegularExpressionLiteral(node) && /\\\/\(?\??:?(mfa|admin)\b/.test(node.text)) texts.push(`${path}: ${node.text}`)
      ts.forEachChild(node, visit)
    }
    visit(treeOf(path))
    return texts
  })
  t.same(found, [])
})

/** Whatever holds a statement: a tagged template of any tag, with any type argument, or a plain text; and the call of a settlement. */
function statementsIn (path: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const isText = ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateHead(node)
    if (isText && /^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE|CALL|LOCK) /.test(node.text)) {
      found.push(node.text.trim())
    }
    const isSettlement = ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) &&
      node.expression.name.text === 'settle'
    if (isSettlement) found.push(`settle ${(node.arguments[0] as ts.StringLiteral).text}`)
    ts.forEachChild(node, visit)
  }
  visit(treeOf(path))
  return found
}

t.test('SQL stands in stores, in *.sql.ts, in platform and nowhere else', async t => {
  t.ok(files.flatMap(statementsIn).length > 90, 'they were found')
  const mayHoldSql = (path: string): boolean => partOf(path) === 'platform' || path.endsWith('.sql.ts') || stageOf(path) === 'store.ts'
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
  visit(treeOf(path))
  return found
}

t.test('a kind of factor is known by name in its own folder alone, and to those that bring its secrets from elsewhere', async t => {
  t.ok(kindsNamedIn('factors/totp/totp.ts').length > 0, 'it would be found')
  t.same(files.filter(path => !path.startsWith('factors/totp/') && partOf(path) !== 'import').flatMap(kindsNamedIn), [])
  const known = imports.filter(({ from, to }) =>
    normalize(join(dirname(from), to)).startsWith('factors/totp/') && !from.startsWith('factors/totp/')
  ).map(({ from }) => from)
  t.same(
    [...new Set(known)].sort(),
    ['cli/code.ts', 'cli/demo.ts', 'factors/registry.ts', 'import/run.ts'],
    'a file that needs another of its files asks the registry'
  )
  const functions = readdirSync('prisma/functions', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.sql'))
  t.same(
    functions.filter(path => /'totp/.test(readFileSync(join('prisma/functions', path), 'utf8'))),
    [],
    'nor to a function of the database'
  )
})

t.test('a file can be read at a sitting', async t => {
  t.same(files.filter(path => readFileSync(`src/${path}`, 'utf8').split('\n').length > 280), [])
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

/** The same in tests, benches, examples and clients, too. */
const GLOSSARY_EVERYWHERE: Record<string, RegExp> = {
  'webhook event, endpoint': /(?<!\/admin\/)\b(?!mfa_)(\w*Notices?|notices|\w+_notices?|notice_\w+|\w*[rR]eceivers?)\b/,
  'authentication, or an action':
    /\b(\w*[a-z]Act|Acts?|p_acts?|act(Of|To\w+|Remembered|By)|(an|the|each|every|no|this|remembered) acts?)\b/,
  'issuer claims': /\b(\w+Word|wordsOf|spoken\w*|saidOf|heard|[pv]_(word|said))\b/,
  cohort: /\b(kind_of|v_kinds|countKinds|MAX_KINDS|kinds? of users?)\b/,
  'a status, and of what': /\b([sS]tanding\w*|isYoung|isCodeDue)\b|'(lone|young)'/,
  'what it does: record_, update_': /\bnote_\w+\b/,
  'they, the user, no one': /\b(he|him|his|himself|whoever|whom|nobody|somebody)\b/i,
  reported: /\b(untold|told_at|toldAt|tell_\w+)\b/
}

t.test('the words are the field\'s: none that the glossary has replaced stands in the sources, the docs, the tests or the API', async t => {
  const of = (...folders: string[]): string[] =>
    folders.flatMap(folder => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(path => `${folder}/${path}`))
      .filter(path => /\.(ts|mjs|sql|md|prisma|yaml)$/.test(path) && !path.includes('node_modules'))
  const sources = [
    ...files.map(path => `src/${path}`),
    ...of('prisma/functions', 'docs'),
    'prisma/schema.prisma',
    'prisma/baseline.sql',
    'README.md',
    'SECURITY.md',
    'openapi.yaml'
  ]
  // These two name the words themselves.
  const others = of('test', 'bench', 'examples', 'clients', 'scripts', 'deploy').filter(path =>
    !['test/layout.test.ts', 'test/docs.test.ts'].includes(path)
  )
  t.ok(sources.length > 250 && others.length > 250, 'they were found')
  const found = (paths: string[], glossary: Record<string, RegExp>): string[] => paths.flatMap(path => {
    const text = `${path}\n${readFileSync(path, 'utf8')}`
    return Object.entries(glossary).filter(([, word]) => word.test(text)).map(([use, word]) =>
        `${path}: ${word.exec(text)?.[0] as string}, which is called: ${use}`
    )
  })
  t.same([...found(sources, GLOSSARY), ...found([...sources, ...others], GLOSSARY_EVERYWHERE)], [])
})

t.test('the index of the tests\' helpers has each of them, and no other', async t => {
  const dir = 'test/helpers'
  const named = [...readFileSync(join(dir, 'README.md'), 'utf8').matchAll(/`([a-z-]+\.m?[tj]s)`/g)].map(([, name]) => name as string)
  t.same([...new Set(named)].sort(), readdirSync(dir).filter(name => name !== 'README.md').sort())
})
