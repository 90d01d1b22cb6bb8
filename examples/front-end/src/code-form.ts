import { problemOf } from '@headless-mfa/client'
import { el, field } from './dom.ts'
import { type Complaint, complaint } from './problems.ts'
import type { Texts } from './texts.ts'

export interface CodeForm { form: HTMLFormElement, input: HTMLInputElement, complaint: Complaint }

export interface CodeFormOptions {
  label: string
  submit: string
  hint?: string
  /** A recovery code instead of six digits. */
  isRecovery?: boolean
  /** Rejects with what the service says. */
  onCode: (code: string) => Promise<void>
  words?: Parameters<Complaint['explain']>[1]
}

const WORDS: CodeFormOptions['words'] = { outcome_unknown: 'code_unknown' satisfies keyof Texts }
const RECOVERY_WORDS: CodeFormOptions['words'] = {
  code_refused: 'recovery_refused' satisfies keyof Texts,
  outcome_unknown: 'recovery_unknown' satisfies keyof Texts
}
/** Once may be a typing error; from the second time on it is mostly the phone's clock. */
const AGAIN: CodeFormOptions['words'] = { code_refused: 'code_refused_again' satisfies keyof Texts }

/** A field for a code: the keyboard of digits, the phone's own suggestion, pasting in any form, and off it goes at the sixth digit. */
export function codeForm (
  { label, submit, hint, isRecovery = false, onCode, words = isRecovery ? RECOVERY_WORDS : WORDS }: CodeFormOptions
): CodeForm {
  const input = el('input', {
    name: 'code',
    required: true,
    className: isRecovery ? 'recovery' : 'digits',
    autocapitalize: 'characters',
    spellcheck: false,
    attributes: isRecovery ? { autocomplete: 'off' } : { autocomplete: 'one-time-code', inputmode: 'numeric', pattern: '\\p{Nd}{6}' }
  })
  const form = el('form', { noValidate: true }, field(label, input, hint))
  const complains = complaint(form)
  form.append(complains.element, el('button', {}, submit))
  let isBusy = false
  let refusals = 0
  const go = async (): Promise<void> => {
    if (isBusy) return
    isBusy = true
    complains.clear()
    input.removeAttribute('aria-invalid')
    form.setAttribute('aria-busy', 'true')
    try {
      await onCode(input.value)
    } catch (error) {
      if (problemOf(error).code === 'code_refused') refusals++
      complains.explain(error, refusals > 1 && !isRecovery ? { ...AGAIN, ...words } : words)
      input.setAttribute('aria-invalid', 'true')
      if (!isRecovery) input.value = ''
      input.focus()
    } finally {
      isBusy = false
      form.removeAttribute('aria-busy')
    }
  }
  form.addEventListener('submit', event => { event.preventDefault(); void go() })
  if (!isRecovery) {
    input.addEventListener('input', () => {
      // Pasted as "123 456", or with what else a message says around it; in the digits of any script, as the service takes them.
      const digits = input.value.match(/\p{Nd}/gu) ?? []
      input.value = digits.join('')
      // With more digits than six, the user who pasted them must say which of them are the code.
      if (digits.length === 6) void go()
    })
  }
  return { form, input, complaint: complains }
}
