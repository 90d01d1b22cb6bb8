// The chart: of each figure, how far it is from its goal.
import type { FigureName } from './figures.ts'
import { short } from './figures.ts'
import type { Goal } from './report.ts'

const ROW = 22
const LEFT = 360
const SCALE = 150

/** A bar for each: 1 is the goal, longer is better. Its colours are to be read on a light and on a dark page. */
export function chart (figures: Record<FigureName, number | null>, goals: Record<FigureName, Goal>): string {
  const rows = (Object.entries(figures) as Array<[FigureName, number | null]>).flatMap(([name, value]) =>
    value === null ? [] : [{ goal: goals[name], value }]
  )
  const height = rows.length * ROW + 40
  const bars = rows.map(({ goal: { about, unit, atLeast, atMost }, value }, index) => {
    const reached = atLeast !== undefined ? value / atLeast : (atMost as number) / value
    const width = Math.max(2, Math.min(reached, 2) * SCALE)
    const y = 30 + index * ROW
    return `<text x="${LEFT - 8}" y="${y + 13}" text-anchor="end">${escape(about)}</text>` +
      `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="16" fill="${reached >= 1 ? '#2a9d5c' : '#d9822b'}"/>` +
      `<text x="${LEFT + width + 6}" y="${y + 13}">${short(value)} ${unit}${reached > 2 ? ' →' : ''}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 ${height}"
  font-family="system-ui, sans-serif" font-size="12" fill="#6b7280">
<title>How much of each goal is reached; the line is the goal</title>
${bars.join('\n')}
<line x1="${LEFT + SCALE}" y1="18" x2="${LEFT + SCALE}" y2="${height - 6}" stroke="#6b7280" stroke-dasharray="3 3"/>
<text x="${LEFT + SCALE}" y="12" text-anchor="middle">goal</text>
</svg>
`
}

export const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
