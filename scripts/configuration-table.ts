import { variables } from '../src/config/variables.ts'
import { developmentEnvironment, makeDevelopmentKeys } from '../src/config/development.ts'

/** What development fills in. */
const filled = developmentEnvironment(makeDevelopmentKeys())
const OTHERS: Record<string, string> = {
  ...Object.fromEntries(Object.keys(makeDevelopmentKeys()).map(name => [name, 'in development made for you, in `.data/keys.json`'])),
  DATABASE_URL: 'in development an embedded PostgreSQL',
  DOCS: '`on`; `off` in production'
}

/** The variables as a Markdown table, without a line before or after. */
export function configurationTable (): string {
  const rows = Object.entries(variables).map(([name, variable]) => {
    const { fallback, about } = variable as { fallback?: string, about: string }
    const value = fallback !== undefined && fallback !== ''
      ? `\`${fallback}\``
      : OTHERS[name] ?? (filled[name] === undefined ? '' : `in development \`${filled[name]}\``)
    return `| \`${name}\` | ${value} | ${about} |`
  })
  return ['| variable | default | what it sets |', '|---|---|---|', ...rows, ''].join('\n')
}
