// npm run docs:config: writes the configuration table of the README from the schema.
import { readFileSync, writeFileSync } from 'node:fs'
import { configurationTable } from './configuration-table.ts'

const readme = new URL('../README.md', import.meta.url)
const text = readFileSync(readme, 'utf8')
writeFileSync(readme, text.replace(/(<!-- configuration: .* -->\n)[\s\S]*(<!-- \/configuration -->)/, (_, start: string, end: string) => `${start}${configurationTable()}${end}`))
