// node scripts/image-build.mjs <target folder> <folder of the image's node>
// Does what the Dockerfile says where no engine runs: its own lines are read and carried out, so that what is tried out
// cannot be another recipe than what is built. It knows the instructions that we use and stops at any other.
// Leaves <target>/rootfs, the last stage's files on what stands for the base image, and <target>/image.json, its settings.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const [target, nodeDir] = process.argv.slice(2)
const repository = new URL('..', import.meta.url).pathname
process.umask(0o022)

const context = join(target, 'context')
for (const path of contextFiles()) put(join(repository, path), join(context, path))

const args = {}
const stages = {}
let stage
for (const { keyword, rest } of instructions(readFileSync(join(repository, 'Dockerfile'), 'utf8'))) {
  console.log(`${keyword} ${rest}`)
  const step = { FROM, ARG, WORKDIR, COPY, RUN, ENV, USER, EXPOSE, HEALTHCHECK, ENTRYPOINT, CMD }[keyword]
  if (!step) throw new Error(`Unknown to this script: ${keyword} ${rest}`)
  step(rest)
}
if (!stage.isDistroless) throw new Error('The last stage is not distroless.')
writeFileSync(join(target, 'image.json'), JSON.stringify(stage.image, null, 2))

/** Comments and line continuations resolved. */
function instructions (text) {
  const lines = text.split('\n').filter(line => !/^\s*(#|$)/.test(line)).join('\n').replace(/\\\n\s*/g, '').split('\n')
  return lines.map(line => /^(?<keyword>\w+)\s+(?<rest>.*)$/.exec(line).groups)
}

/** What of a checkout goes to the engine: what git knows or would add, less what .dockerignore names. */
function contextFiles () {
  const rules = readFileSync(join(repository, '.dockerignore'), 'utf8').split('\n').filter(line => line && !line.startsWith('#'))
    .map(line => ({ isKept: line.startsWith('!'), path: line.replace(/^!/, '') }))
  // Folders, files and a lone star are what ours needs; anything cleverer would be misread here, so it is refused.
  for (const { path } of rules) {
    if (path !== '*' && /[*?[\\]/.test(path)) throw new Error(`A pattern that this script does not know: ${path}`)
  }
  const isKept = path => rules.findLast(rule => rule.path === '*' || path === rule.path || path.startsWith(`${rule.path}/`))?.isKept ?? true
  const known = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: repository, encoding: 'utf8' })
  return known.split('\0').filter(path => path && isKept(path) && existsSync(join(repository, path)))
}

function ARG (text) {
  const [name, value = ''] = text.split('=')
  args[name] = value
}

function FROM (text) {
  const [, base, , name = 'final'] = /^(\S+)( AS (\S+))?$/.exec(text.replace(/\$\{(\w+)\}/g, (_, name) => args[name]))
  const isDistroless = base.startsWith('gcr.io/distroless/')
  stage = stages[name] = {
    root: join(target, isDistroless ? 'rootfs' : `stage-${name}`), cwd: '/', isDistroless, image: { Base: base, Env: {} }
  }
  mkdirSync(stage.root)
  if (isDistroless) layDistroless(stage.root)
}

/** What distroless' nodejs has: node, the libraries that it is linked to, certificates, users, /tmp; and no shell. */
function layDistroless (root) {
  const node = join(nodeDir, 'node')
  put(node, join(root, 'nodejs/bin/node'))
  for (const [, library] of execFileSync('ldd', [node], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)) {
    put(realpathSync(library), join(root, library))
  }
  for (const file of ['/etc/ssl/certs/ca-certificates.crt', '/etc/hosts', '/etc/nsswitch.conf']) put(file, join(root, file))
  mkdirSync(join(root, 'etc'), { recursive: true })
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n'
  )
  for (const folder of ['tmp', 'proc', 'dev', 'run/secrets']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'dev/null'), '') // a mount point
}

function WORKDIR (path) {
  stage.cwd = path
  stage.image.WorkingDir = path
  mkdirSync(inStage(path), { recursive: true })
}

function COPY (text) {
  const words = text.split(/\s+/)
  const from = words[0].startsWith('--from=') ? stages[words.shift().slice('--from='.length)].root : context
  if (words[0].startsWith('--')) throw new Error(`A flag that this script does not know: ${words[0]}`)
  const to = words.pop()
  for (const source of words) {
    const path = join(from, source)
    if (!existsSync(path)) throw new Error(`COPY finds no ${source}: is it in .dockerignore?`)
    const isInside = to.endsWith('/') && !statSync(path).isDirectory()
    put(path, isInside ? join(inStage(to), basename(source)) : inStage(to))
  }
}

function RUN (command) {
  if (stage.isDistroless) throw new Error('Distroless has no shell.')
  execFileSync('/bin/sh', ['-c', command], {
    cwd: inStage(stage.cwd), env: { ...process.env, PATH: `${nodeDir}:${process.env.PATH}` }, stdio: ['ignore', 'inherit', 'inherit']
  })
}

function ENV (text) {
  for (const pair of text.split(/\s+/)) {
    const [name, value] = pair.split('=')
    stage.image.Env[name] = value
  }
}

function USER (text) { stage.image.User = text }
function EXPOSE (text) { stage.image.ExposedPorts = text }
// Exec form alone: the shell form would need a shell, and keep signals from node.
function ENTRYPOINT (text) { stage.image.Entrypoint = JSON.parse(text) }
function CMD (text) { stage.image.Cmd = JSON.parse(text) }
function HEALTHCHECK (text) { stage.image.Healthcheck = JSON.parse(/^(--\S+ )*CMD (.*)$/.exec(text)[2]) }

function inStage (path) { return join(stage.root, path.startsWith('/') ? path : join(stage.cwd, path)) }

/** A copied folder gives its contents, as COPY has it; owner is who runs this, so root. */
function put (from, to) {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
}
