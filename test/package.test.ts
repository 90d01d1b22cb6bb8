// What npm says when this is installed.
import { spawnSync } from 'node:child_process'
import t from 'tap'

t.test('npm ci warns of no package that wants another Node', async t => {
  const { status, stderr } = spawnSync('npm', ['ci', '--dry-run', '--offline', '--ignore-scripts'], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.notMatch(stderr, /EBADENGINE/)
})
