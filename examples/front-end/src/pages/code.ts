import type { Status } from '@headless-mfa/client'
import { codeForm } from '../code-form.ts'
import { el, link } from '../dom.ts'
import type { Page } from '../main.ts'
import { hasApp, hasPasskey, isApp, passkeyButton } from '../passkey.ts'
import { isPasskeyAsked, mfa, nextPage, returnTo } from '../session.ts'
import { type Texts, text } from '../texts.ts'

/** A user who needs no code any more goes on: after a second tab, or the button "back". */
async function unlessPassed (page: (status: Status) => Node[]): Promise<Node[]> {
  const status = await mfa.getStatus()
  if (status.decision.action === 'verify') return page(status)
  location.replace(nextPage(status, returnTo()))
  return []
}

const back = (): string => `return_to=${encodeURIComponent(returnTo())}`

/** The passkey first, as it is the quickest and cannot be phished; then the code of an app; then what helps if both are gone. */
export const codePage: Page = async () => {
  const status = await mfa.getStatus()
  const { action } = status.decision
  const isAsked = isPasskeyAsked()
  // A user who has proved a code passes, but where the gateway wants a passkey.
  if (action !== 'verify' && !(isAsked && action === 'allow' && status.enrolled)) {
    location.replace(nextPage(status, returnTo()))
    return []
  }
  const goOn = (): void => { location.assign(returnTo()) }
  const lost = (label: keyof Texts): Node => el('p', {}, link(text(label), `/second-factor/recovery?${back()}`))
  const first = (element: HTMLElement): HTMLElement => {
    const control = element.querySelector<HTMLElement>('button, input')
    if (control !== null) control.dataset.first = ''
    return element
  }
  if (isAsked) {
    const setUp = `/second-factor/set-up?kind=passkey&${back()}`
    const content = hasPasskey(status)
      // Theirs may be on another device.
      ? [first(passkeyButton('usePasskey', 'phr', goOn).element), el('p', {}, link(text('passkeyHere'), setUp))]
      : [el('p', {}, link(text('setUpPasskey'), setUp, 'button'))]
    return [el('h1', {}, text('passkeyTitle')), el('p', {}, text('passkeyAsked')), ...content]
  }
  const code = (): HTMLFormElement => codeForm({
    label: text('code'),
    submit: text('verify'),
    onCode: async code => {
      await mfa.verify({ code })
      goOn()
    }
  }).form
  if (!hasPasskey(status)) {
    if (!hasApp(status)) return [el('h1', {}, text('passkeyTitle')), el('p', {}, text('passkeyElsewhere')), lost('lostDevice')]
    return [el('h1', {}, text('codeTitle')), el('p', {}, text('codeText')), ...spentHint(status.factors), first(code()), lost('lost')]
  }
  return [
    el('h1', {}, text('passkeyTitle')),
    el('p', {}, text('passkeyText')),
    first(passkeyButton('usePasskey', undefined, goOn).element),
    ...(hasApp(status) ? [el('h2', {}, text('orCode')), el('p', {}, text('codeText')), ...spentHint(status.factors), code()] : []),
    lost('lostDevice')
  ]
}

/** The right code of a step that was used is refused, too: say so before the user types it. */
export function spentHint (factors: Status['factors']): Node[] {
  const active = factors.filter(isApp)
  const wait = (): number =>
    Math.ceil(
      (Math.min(...active.map(({ nextCodeAt }) => nextCodeAt === null || nextCodeAt === undefined ? 0 : Date.parse(nextCodeAt))) -
        Date.now()) / 1000
    )
  if (active.length === 0 || wait() <= 0) return []
  const hint = el('p', { className: 'note' })
  const show = (): void => {
    const seconds = wait()
    if (seconds <= 0) { clearInterval(timer); hint.remove() } else hint.textContent = text('spent', { seconds })
  }
  const timer = setInterval(show, 500)
  show()
  return [hint]
}

export const recoveryPage: Page = async () => await unlessPassed(() => {
  const { form, input } = codeForm({
    label: text('recoveryCode'),
    submit: text('verify'),
    hint: 'XXXX-XXXX-XXXX-XXXX',
    isRecovery: true,
    onCode: async code => {
      await mfa.recover({ code })
      location.assign(`/second-factor/set-up?lost=1&${back()}`)
    }
  })
  input.dataset.first = ''
  return [
    el('h1', {}, text('recoveryTitle')),
    el('p', {}, text('recoveryText')),
    form,
    el('p', {}, link(text('backToCode'), `/second-factor/code?${back()}`))
  ]
})
