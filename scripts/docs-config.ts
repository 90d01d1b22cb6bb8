// npm run docs:config: writes the table in docs/configuration.md from src/config/config.ts.
import { readFileSync, writeFileSync } from 'node:fs'
import { configurationTable } from './configuration-table.ts'

const page = new URL('../docs/configuration.md', import.meta.url)
const text = readFileSync(page, 'utf8')
writeFileSync(
  page,
  text.replace(/(<!-- configuration: .* -->\n)[\s\S]*(<!-- \/configuration -->)/, (_, start: string, end: string) =>
    `${start}${configurationTable()}${end}`)
)
