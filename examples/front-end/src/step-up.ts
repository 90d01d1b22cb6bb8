import type { StepUp } from '@headless-mfa/client'
import { codeForm } from './code-form.ts'
import { button, el, newId } from './dom.ts'
import { mfa } from './session.ts'
import { text } from './texts.ts'

/** A dialog over the page, when a call needs a fresh code: the page goes on where it was, with the call made again. */
export async function askStepUp ({ action }: StepUp): Promise<boolean> {
  if (action === 'login') {
    location.assign(`/sign-in?return_to=${encodeURIComponent(location.pathname + location.search)}`)
    return await new Promise(() => {}) // the page is left
  }
  return await new Promise(resolve => {
    const title = newId()
    const isRecovery = action === 'recovery'
    const end = (isDone: boolean): void => { dialog.close(); dialog.remove(); resolve(isDone) }
    const { form } = codeForm({
      label: text(isRecovery ? 'recoveryCode' : 'code'),
      submit: text('verify'),
      isRecovery,
      onCode: async code => {
        await (isRecovery ? mfa.recover({ code }) : mfa.verify({ code }))
        end(true)
      }
    })
    const dialog = el('dialog', { attributes: { 'aria-labelledby': title } },
      el('h2', { id: title }, text('stepUpTitle')), el('p', {}, text(isRecovery ? 'adminCodeText' : 'stepUpText')), form,
      button(text('cancel'), () => { end(false) }, 'quiet awake'))
    dialog.addEventListener('cancel', event => { event.preventDefault(); end(false) })
    document.body.append(dialog)
    dialog.showModal()
  })
}
