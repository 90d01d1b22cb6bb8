import { type Problem, problemOf } from '@headless-mfa/client'
import { PasskeyError, type PasskeyReason } from '@headless-mfa/client/passkeys'
import { el } from './dom.ts'
import { type Texts, text } from './texts.ts'

/** Every code of the API in words that a user understands: one that is missing here, or there in a language, does not compile. */
const IN_WORDS: Record<Problem['code'], keyof Texts> = {
  code_refused: 'code_refused',
  too_many_attempts: 'too_many_attempts',
  factor_locked: 'factor_locked',
  label_taken: 'label_taken',
  too_many_factors: 'too_many_factors',
  required_by_policy: 'required_by_policy',
  not_found: 'not_found',
  invalid_request: 'invalid_request',
  invalid_token: 'step_up_required',
  step_up_required: 'step_up_required',
  enrollment_required: 'setUpRequired',
  login_time_unknown: 'login_time_unknown',
  not_enrolled: 'not_enrolled',
  not_offered: 'not_offered',
  precondition_failed: 'precondition_failed',
  forbidden: 'forbidden',
  unavailable: 'unavailable',
  outcome_unknown: 'outcome_unknown',
  unreachable: 'unreachable',
  // A fault of these pages, or of the service: nothing that who reads it could do.
  method_not_allowed: 'other',
  payload_too_large: 'other',
  unsupported_media_type: 'other',
  token_too_large: 'other',
  internal: 'other'
}

/** What a browser says of a passkey. */
const OF_BROWSER: Record<PasskeyReason, keyof Texts> = {
  cancelled: 'passkey_cancelled',
  already_here: 'passkey_already_here',
  wrong_domain: 'passkey_unsupported',
  unsupported: 'passkey_unsupported',
  failed: 'passkey_failed'
}

/** Where a form says what went wrong: read aloud as soon as it is there. */
export interface Complaint {
  element: HTMLElement
  clear: () => void
  say: (message: string) => void
  /** A refusal in words; with a wait, the seconds that are left, and the form sleeps until then. */
  explain: (error: unknown, words?: Partial<Record<Problem['code'], keyof Texts>>) => void
}

export function complaint (form?: HTMLElement): Complaint {
  const element = el('p', { className: 'complaint', attributes: { role: 'alert' } })
  let timer: number | undefined
  const clear = (): void => {
    clearInterval(timer)
    element.textContent = ''
    sleep(form, false)
  }
  const countDown = (key: keyof Texts, seconds: number): void => {
    const end = Date.now() + seconds * 1000
    // Read aloud once: the seconds that run down are for the eyes.
    const [before = '', after = ''] = text(key, { seconds: '|' }).split('|')
    const left = el('span', { attributes: { role: 'timer' } }, String(seconds))
    element.replaceChildren(before, left, after)
    sleep(form, true)
    timer = window.setInterval(() => {
      const rest = Math.ceil((end - Date.now()) / 1000)
      if (rest <= 0) { clear(); form?.querySelector('input')?.focus() } else left.textContent = String(rest)
    }, 250)
  }
  return {
    element,
    clear,
    say: message => { clear(); element.textContent = message },
    explain: (error, words = {}) => {
      clear()
      if (error instanceof PasskeyError) {
        element.textContent = text(OF_BROWSER[error.reason])
        return
      }
      const problem = problemOf(error)
      const key = words[problem.code] ?? IN_WORDS[problem.code] ?? 'other' /* a code of a newer service */
      if (problem.code === 'too_many_attempts' || problem.code === 'unavailable') countDown(key, problem.retryAfter)
      else element.textContent = text(key)
    }
  }
}

function sleep (form: HTMLElement | undefined, isAsleep: boolean): void {
  for (const control of form?.querySelectorAll<HTMLInputElement | HTMLButtonElement>('input, button:not(.awake)') ?? []) {
    control.disabled = isAsleep
  }
}
