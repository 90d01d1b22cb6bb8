import { prove, proveLean } from '../helpers/gateway-proof.ts'
import { startCaddy } from '../helpers/gateways.ts'

prove({
  name: 'Caddy',
  start: startCaddy,
  unavailable: 'connect: connection refused',
  also: ['the service gets the token and none of the cookies', proveLean]
})
