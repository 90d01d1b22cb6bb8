import { randomBytes } from 'node:crypto'
import t from 'tap'
import { placeholder, refusePlaceholder } from '../../src/config/placeholder.ts'

t.test('what guides and people in a hurry write where a key should be is seen', async t => {
  for (const text of [
    'changemechangemechangemechangeme',
    'super-secret-jwt-token-with-at-least-32-characters-long',
    'my-super-secret-development-key-that-is-long-enough',
    'your-256-bit-key-your-256-bit-key-1',
    'REPLACE_ME_WITH_SOMETHING_RANDOM_0123',
    'Password-0123456789-abcdef-xyz-ABC',
    'placeholder-placeholder-placehold',
    'insecure-jwt-key-for-local-work-only'
  ]) t.match(placeholder(text), /^contains the word "[^"]+" and looks like a placeholder$/, text)
  for (const text of ['0'.repeat(64), 'ab'.repeat(32), 'correct-horse-7correct-horse-7correct-ho', 'k3yM4terial-0f16'.repeat(2)]) {
    t.match(placeholder(text), /^repeats a few characters/, text)
  }
  for (const text of ['abcdefghijklmnopqrstuvwxyzABCDEF', '98x-12345678901234567890-qq-zz-yy-x', 'qwertyuiopasdfghjklzxcvbnmQWERTY']) {
    t.match(placeholder(text), /^contains a row of/, text)
  }
  t.throws(() => {
    refusePlaceholder('NAME', Buffer.alloc(32), 'npm run keys')
  }, { name: 'ConfigError', message: 'NAME repeats a few characters and looks like a placeholder. Make one: npm run keys' })
})

t.test('a random key is none, however it is written', async t => {
  const forms = Array.from({ length: 2000 }, () => randomBytes(48))
    .flatMap(key => [key, key.toString('base64'), key.toString('base64url'), key.toString('hex')])
  t.same(forms.map(form => [form, placeholder(form)]).filter(([, found]) => found !== undefined), [])
})
