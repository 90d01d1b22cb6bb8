import { variables } from '../src/config.ts'

/** The variables as a Markdown table, without a line before or after. */
export function configurationTable (): string {
  const rows = Object.entries(variables).map(([name, variable]) => {
    const { fallback, about } = variable as { fallback?: string, about: string }
    return `| \`${name}\` | ${fallback === undefined || fallback === '' ? '' : `\`${fallback}\``} | ${about} |`
  })
  return ['| variable | default | |', '|---|---|---|', ...rows, ''].join('\n')
}
