// A flame graph of what V8's profiler saw, as an SVG that needs nothing else: where the time of one process goes.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'
import { escape } from './chart.ts'

interface ProfileNode {
  id: number
  callFrame: { functionName: string, url: string, lineNumber: number, columnNumber: number }
  children?: number[]
}
interface Profile { nodes: ProfileNode[], samples: number[], timeDeltas: number[] }

/** A function where it was called from, and the time in it and in what it called. */
export interface Frame { name: string, group: string, micros: number, children: Map<string, Frame> }

/** The root of the one profile that a process with `--cpu-prof-dir=dir` has left. */
export function readProfile (dir: string): Frame {
  const [file] = readdirSync(dir).filter(name => name.endsWith('.cpuprofile'))
  return treeOf(JSON.parse(readFileSync(`${dir}/${file as string}`, 'utf8')))
}

const maps = new Map<string, SourceMap | undefined>()

/** The file that it was built of, where the build has maps: `…/node_modules/fastify/lib/reply.js`, `…/src/http/auth.ts`. */
function sourceOf ({ url, lineNumber, columnNumber }: ProfileNode['callFrame']): string {
  if (!url.startsWith('file:')) return url
  if (!maps.has(url)) {
    const file = `${fileURLToPath(url)}.map`
    maps.set(url, existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : undefined)
  }
  const entry = maps.get(url)?.findEntry(lineNumber, columnNumber)
  return entry !== undefined && 'originalSource' in entry ? entry.originalSource : url
}

/** Who wrote it: a package, a part of Node, or one of our folders. */
function groupOf (callFrame: ProfileNode['callFrame']): string {
  const { functionName } = callFrame
  const url = sourceOf(callFrame)
  const [, module] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  if (module !== undefined) return module
  if (url.startsWith('node:')) return /^node:(internal\/)?crypto/.test(url) ? 'node:crypto' : /http/.test(url) ? 'node:http' : 'node'
  if (url !== '') return `src/${(/\/src\/(.*?)(?:\/[^/]*)?$/.exec(url)?.[1] ?? '').split('/')[0] as string}`
  return functionName === '(garbage collector)' ? 'garbage collection' : /^write/.test(functionName) ? 'writing to sockets' : 'node'
}

function treeOf ({ nodes, samples, timeDeltas }: Profile): Frame {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const parentOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map(child => [child, id])))
  const root: Frame = { name: 'all', group: '', micros: 0, children: new Map() }
  for (const [index, sample] of samples.entries()) {
    const micros = timeDeltas[index] as number
    const path: ProfileNode[] = []
    for (let node = byId.get(sample); node !== undefined; node = byId.get(parentOf.get(node.id) as number)) path.unshift(node)
    if (/^\((idle|program)\)$/.test((path.at(-1) as ProfileNode).callFrame.functionName)) continue
    root.micros += micros
    let frame = root
    for (const { callFrame } of path.slice(1)) {
      const group = groupOf(callFrame)
      const name = `${callFrame.functionName === '' ? '(anonymous)' : callFrame.functionName} ${group}`
      const child = frame.children.get(name) ?? { name, group, micros: 0, children: new Map() }
      frame.children.set(name, child)
      child.micros += micros
      frame = child
    }
  }
  return root
}

/** Of each group its own share, the largest first. */
export function sharesOf (root: Frame): Array<[group: string, share: number]> {
  const groups = new Map<string, number>()
  const add = (frame: Frame): void => {
    const own = frame.micros - [...frame.children.values()].reduce((sum, { micros }) => sum + micros, 0)
    groups.set(frame.group, (groups.get(frame.group) ?? 0) + own)
    for (const child of frame.children.values()) add(child)
  }
  add(root)
  return [...groups].map(([group, micros]): [string, number] => [group, micros / root.micros]).sort(([, a], [, b]) => b - a)
}

const WIDTH = 1200
const ROW = 16
const MIN_WIDTH = 1.5
const COLORS = ['#e4a86b', '#e9c46a', '#d98f5f', '#c9b458', '#e0b089']

/** From the root at the top down; what is narrower than a pixel and a half is left out. */
export function flame (root: Frame, title: string): string {
  const shapes: string[] = []
  let depth = 0
  const draw = (frame: Frame, x: number, level: number): void => {
    const width = frame.micros / root.micros * WIDTH
    if (width < MIN_WIDTH) return
    depth = Math.max(depth, level)
    const color = COLORS[[...frame.group].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % COLORS.length] as string
    const label = frame.name.slice(0, Math.floor(width / 6))
    shapes.push(`<g><title>${escape(frame.name)} ${(100 * frame.micros / root.micros).toFixed(1)} %</title>` +
      `<rect x="${x.toFixed(1)}" y="${24 + level * ROW}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${color}"/>` +
      (label.length > 3 ? `<text x="${(x + 2).toFixed(1)}" y="${24 + level * ROW + 11}">${escape(label)}</text>` : '') + '</g>')
    let left = x
    for (const child of [...frame.children.values()].sort((a, b) => a.name.localeCompare(b.name))) {
      draw(child, left, level + 1)
      left += child.micros / root.micros * WIDTH
    }
  }
  draw(root, 0, 0)
  const height = 24 + (depth + 1) * ROW
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10" fill="#1f2937">
<rect width="${WIDTH}" height="${height}" fill="#fffdf7"/>
<text x="4" y="16" font-size="13">${escape(title)}</text>
${shapes.join('\n')}
</svg>
`
}
