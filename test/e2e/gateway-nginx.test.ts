// Debian's nginx, with the configuration of examples/gateways/nginx: all of it as it is, but for the files of which it says
// that they are the operator's.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { prove, proveLean } from '../helpers/gateway-proof.ts'
import { type Addresses, change, EXAMPLES, gatewayDir, OTHER_ORIGIN, OUTER, startGateway } from '../helpers/gateways.ts'

const start = (site: string) => async (t: Test, { listen, mfa, application, isFilledIn }: Addresses): Promise<() => string> => {
  const dir = gatewayDir(t, 'nginx')
  cpSync(join(EXAMPLES, 'nginx'), join(dir, 'mfa'), { recursive: true })
  change(join(dir, 'mfa/addresses.conf'), { '127.0.0.1:3000': mfa, '127.0.0.1:8080': application })
  change(join(dir, 'mfa/listen.conf'), { 'listen 80;': `listen ${listen};` })
  if (isFilledIn) {
    change(join(dir, 'mfa/outside.conf'), {
      '# 10.0.0.0/8': OUTER,
      '# set_real_ip_from 10.0.0.0/8': `set_real_ip_from ${OUTER}`,
      '# real_ip_header': 'real_ip_header',
      '# real_ip_recursive': 'real_ip_recursive',
      '# "https://pages.example.com"': `"${OTHER_ORIGIN}"`
    })
    const file = join(dir, 'mfa', site)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^( +)# (location \/payroll|  {3}|\})/gm, '$1$2'))
  }
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${dir}/${name};`)
  writeFileSync(join(dir, 'nginx.conf'), `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
    events {}
    http { access_log off; ${paths.join(' ')} include mfa/${site}; }`)
  return await startGateway(t, listen, 'nginx', ['-c', join(dir, 'nginx.conf'), '-e', 'stderr'])
}

const unavailable = 'auth request unexpected status: 502'

prove({ name: 'nginx', start: start('site.conf'), unavailable, also: ['the service gets the token and none of the cookies', proveLean] })

const cookie = (token: string): Record<string, string> => ({ cookie: `__Host-token=${token}` })
prove({
  name: 'nginx, with the application\'s token cookie',
  start: start('token-cookie.conf'),
  unavailable,
  carry: cookie,
  also: ['the cookie alone is the token, and the application gets no Authorization', async (t, { go, service, arrived }) => {
    const [alice, mallory] = [service.user(), service.user()]
    const [{ token }, { token: mallorys }] = [await alice.enroll(), await mallory.enroll()]
    const bearer = { authorization: `Bearer ${mallorys}` }
    t.equal((await go('/page', token, { headers: bearer })).status, 200)
    t.match(arrived(), [{ user: (await alice.row()).id, headers: { authorization: undefined, cookie: `__Host-token=${token}` } }])
    t.equal((await go('/page', undefined, { headers: bearer })).status, 401)
    for (const other of [`token=${token}`, `x__Host-token=${token}`, `__host-token=${token}`, `__Host-token="${token}"`, '__Host-token=']) {
      t.equal((await go('/page', undefined, { headers: { cookie: other } })).status, 401, other.slice(0, 30))
    }
    t.same(arrived(), [])
  }]
})
