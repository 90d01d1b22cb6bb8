import { createMfaClient, type Status } from '@headless-mfa/client'
import { askStepUp } from './step-up.ts'

let login: Promise<string | null> | undefined

/** The first-factor token, which our back end keeps in a cookie. It lives as long as the login. */
const getToken = async (): Promise<string | null> =>
  await (login ??= fetch('/auth/token').then(async answer => answer.ok ? (await answer.json() as { token: string }).token : null))

export const mfa = createMfaClient({ baseUrl: '', getToken, onStepUp: stepUp => askStepUp(stepUp) })

export async function signIn (name: string, password: string): Promise<boolean> {
  const answer = await fetch('/auth/password', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password })
  })
  login = undefined
  return answer.ok
}

export async function logOut (): Promise<void> {
  // The service forgets this login's second factor; without an answer it ends with the token.
  await mfa.endSession().catch(() => {})
  await fetch('/auth/log-out', { method: 'POST', headers: { 'content-type': 'application/json' } })
  location.assign('/sign-in')
}

/** What must happen next: the page for it. One question, one switch. */
export function nextPage ({ decision }: Status, returnTo: string): string {
  const back = `return_to=${encodeURIComponent(returnTo)}`
  switch (decision.action) {
    case 'allow': return returnTo
    case 'verify': return `/second-factor/code?${back}${decision.acr === 'phr' ? '&acr=phr' : ''}`
    case 'enroll': {
      const kind = decision.reason === 'phishing_resistant_required' ? '&kind=passkey' : ''
      return decision.loginFirst === true ? `/sign-in?${back}` : `/second-factor/set-up?${back}${kind}`
    }
    case 'deny': return '/disabled'
  }
}

/** Has a gateway or the decision led here because only a passkey counts, to prove one or to set one up? */
export function isPasskeyAsked (): boolean {
  const query = new URLSearchParams(location.search)
  return query.get('acr') === 'phr' || query.get('kind') === 'passkey'
}

/** Where to go at the end: only ever to a page of ours, whatever the address says. */
export function returnTo (): string {
  const wanted = new URLSearchParams(location.search).get('return_to') ?? ''
  try {
    const url = new URL(wanted || '/app/', location.origin)
    // Whole: of /.//elsewhere.example the path alone would lead away.
    if (url.origin === location.origin) return url.href
  } catch {}
  return '/app/'
}
