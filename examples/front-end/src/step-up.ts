import type { StepUp } from '@headless-mfa/client'
import { codeForm } from './code-form.ts'
import { button, el, newId } from './dom.ts'
import { hasApp, hasPasskey, type PasskeyButton, passkeyButton } from './passkey.ts'
import { mfa } from './session.ts'
import { text } from './texts.ts'

/**
 * A dialog over the page, when a call needs a fresh second factor: a passkey or a code, or a passkey alone where that is what
 * counts. The page goes on where it was, with the call made again.
 */
export async function askStepUp ({ action, acr }: StepUp): Promise<boolean> {
  if (action === 'login') {
    location.assign(`/sign-in?return_to=${encodeURIComponent(location.pathname + location.search)}`)
    return await new Promise(() => {}) // the page is left
  }
  const isRecovery = action === 'recovery'
  const status = await mfa.getStatus()
  return await new Promise(resolve => {
    const title = newId()
    const end = (isDone: boolean): void => {
      passkey?.stop()
      dialog.close()
      dialog.remove()
      resolve(isDone)
    }
    const passkey: PasskeyButton | undefined = !isRecovery && hasPasskey(status)
      ? passkeyButton('usePasskey', acr, () => { end(true) })
      : undefined
    const { form } = codeForm({
      label: text(isRecovery ? 'recoveryCode' : 'code'),
      submit: text('verify'),
      isRecovery,
      onCode: async code => {
        await (isRecovery ? mfa.recover({ code }) : mfa.verify({ code }))
        end(true)
      }
    })
    const isCode = isRecovery || (acr !== 'phr' && hasApp(status))
    const why = isRecovery
      ? 'adminCodeText'
      : passkey === undefined ? (isCode ? 'stepUpText' : 'passkeyElsewhere') : isCode ? 'stepUpEither' : 'stepUpPasskey'
    const dialog = el('dialog', { attributes: { 'aria-labelledby': title } },
      el('h2', { id: title }, text('stepUpTitle')), el('p', {}, text(why)), passkey?.element, isCode && form,
      button(text('cancel'), () => { end(false) }, 'quiet awake'))
    dialog.addEventListener('cancel', event => { event.preventDefault(); end(false) })
    document.body.append(dialog)
    dialog.showModal()
  })
}
