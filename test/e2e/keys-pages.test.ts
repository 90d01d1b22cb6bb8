// The commands that make production's keys, as docs/configuration.md and deploy/README.md have them.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import t from 'tap'
import { parsePeppers, parseSealingKeys } from '../../src/config/keys.ts'
import { parseSigningKeys } from '../../src/config/signing-keys.ts'
import { paste } from '../helpers/started.ts'

for (const [page, folder] of [['docs/configuration.md', 'secrets'], ['deploy/README.md', 'deploy/secrets']] as const) {
  t.test(`the keys of ${page} are made as it says, where it says, for their owner's eyes alone, and a start takes them`, {
    timeout: 60_000
  }, async t => {
    const dir = t.testdir()
    const script = /<!-- test\/e2e\/keys-pages.*-->\n```sh\n([\s\S]*?)```/.exec(readFileSync(page, 'utf8'))?.[1] as string
    await paste(script.replaceAll(folder, dir), '')
    t.same(readdirSync(dir).sort(), ['encryption-keys', 'peppers', 'signing-keys'])
    for (
      const [file, read] of [['encryption-keys', parseSealingKeys], ['peppers', parsePeppers], ['signing-keys', parseSigningKeys]] as const
    ) {
      t.equal(statSync(`${dir}/${file}`).mode & 0o077, 0, file)
      t.doesNotThrow(() => read(file, readFileSync(`${dir}/${file}`, 'utf8').trim()), file)
    }
  })
}
