// Which users a search finds does not depend on the locale of the database.
import t from 'tap'
import { foldAccount } from '../../../src/users/account.ts'
import { findByAccount } from '../../../src/users/user.sql.ts'
import { applyMigrations } from '../../../src/platform/db/migrate.ts'
import { allowCheapHashes, databaseUrl, dropDatabase, execute, readRun, uniqueName, urlOf } from '../../helpers/database.ts'
import { startService } from '../../helpers/service.ts'

const LOCALES = {
  Turkish: "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LC_CTYPE 'C' LC_COLLATE 'C'",
  'no language': "LOCALE 'C' LOCALE_PROVIDER libc"
}

for (const [name, locale] of Object.entries(LOCALES)) {
  t.test(`in a database of ${name}, an account is found in whatever case`, async t => {
    const { server } = readRun()
    const database = uniqueName('locale')
    await execute(server, `CREATE DATABASE ${database} TEMPLATE template0 ENCODING 'UTF8' ${locale}`)
    t.teardown(() => dropDatabase(server, database))
    const url = urlOf(server, database)
    await applyMigrations(url)
    await allowCheapHashes(url)
    const service = await startService(t, { DATABASE_URL: url })
    const admin = service.user({ roles: ['mfa:admin'] })
    const { token } = await admin.enroll()
    const accounts = [
      'Émilie@INFO.example',
      'IRMAK@info.example',
      'ИВАН@info.example',
      'ΝΊΚΟΣ@info.example',
      'Nguyễn@info.example',
      'ığdır@info.example',
      '山田@info.example'
    ]
    for (const email of accounts) await service.user({ tenant: admin.tenant, sub: email, email }).call('GET', '/mfa/status')
    for (
      const [index, asked] of [
        'émilie@info.example',
        'irmak@INFO.example',
        'Иван@info.example',
        'νίκος@info.example',
        'NGUYỄN@info.example',
        'IĞDIR@info.example',
        '山田@INFO.example'
      ].entries()
    ) {
      const { body } = await admin.call('GET', `/admin/users?account=${encodeURIComponent(asked)}`, undefined, token)
      t.match(body.items.map(({ account }: { account: string }) => account), [accounts[index]], asked)
      t.match(await findByAccount(service.db, admin.tenant, asked), [{ subject: accounts[index] }])
    }
    t.same(
      (await admin.call('GET', '/admin/users?account=emilie%40info.example', undefined, token)).body.items,
      [],
      'an accent is a letter of its own'
    )
  })
}

t.test('the service folds what is asked as the database folds what it has, each letter there is', async t => {
  const { db } = await startService(t, { DATABASE_URL: databaseUrl() })
  const letters = Array.from({ length: 0x1ffff }, (_, index) => index + 1).filter(code => code < 0xd800 || code > 0xdfff).map(code =>
    String.fromCodePoint(code)
  )
  const folded = await db.reports<
    { letter: string, fold: string }
  >`SELECT letter, fold_account(letter) AS fold FROM unnest(${letters}::text[]) AS letter WHERE fold_account(letter) <> letter`
  t.ok(folded.length > 600)
  t.same(folded.filter(({ letter, fold }) => foldAccount(letter) !== fold), [])
  t.same(letters.filter(letter => foldAccount(letter) !== letter).length, folded.length)
  t.same(folded.filter(({ fold }) => foldAccount(fold) !== fold), [], 'what is folded stays so')
})
