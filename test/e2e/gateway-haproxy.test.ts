// Debian's HAProxy, with examples/gateways/haproxy as it is; the addresses are in the environment.
import { join } from 'node:path'
import { prove } from '../helpers/gateway-proof.ts'
import { EXAMPLES, OTHER_ORIGIN, OUTER, startGateway } from '../helpers/gateways.ts'

prove({
  name: 'HAProxy',
  unavailable: 'mfa: the service answered 503',
  start: (t, { listen, mfa, application, isFilledIn }) =>
    startGateway(t, listen, 'haproxy', ['-db', '-f', join(EXAMPLES, 'haproxy/haproxy.cfg')], {
      LISTEN: listen,
      MFA_SERVICE: mfa,
      APPLICATION: application,
      ...(isFilledIn && { BEHIND: `127.0.0.9 ${OUTER}`, ORIGINS: `https://other.example.com ${OTHER_ORIGIN}`, PASSKEY: '/salaries /payroll' })
    })
})
