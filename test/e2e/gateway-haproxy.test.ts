// Debian's HAProxy, with examples/gateways/haproxy as it is; the addresses are in the environment.
import { join } from 'node:path'
import { prove } from '../helpers/gateway-proof.ts'
import { EXAMPLES, startGateway } from '../helpers/gateways.ts'

prove({
  name: 'HAProxy',
  start: (t, { listen, mfa, application }) => startGateway(t, listen, 'haproxy', ['-db', '-f', join(EXAMPLES, 'haproxy/haproxy.cfg')], { LISTEN: listen, MFA_SERVICE: mfa, APPLICATION: application })
})
