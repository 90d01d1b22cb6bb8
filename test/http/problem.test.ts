import t from 'tap'
import { problemHeaders } from '../../src/http/problem.ts'

t.test('the challenge of a step-up says what helps, and how old it may be where that matters (RFC 9470 §3)', t => {
  const challenge = (options: Parameters<typeof problemHeaders>[1]): string | undefined =>
    problemHeaders('step_up_required', options)['www-authenticate']
  t.equal(challenge({ action: 'verify', maxAge: 900 }), 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=900')
  t.equal(challenge({ action: 'login', maxAge: 900 }), 'Bearer error="insufficient_user_authentication", max_age=900')
  t.equal(challenge({ action: 'recovery' }), 'Bearer error="insufficient_user_authentication", acr_values="mfa"')
  t.end()
})
