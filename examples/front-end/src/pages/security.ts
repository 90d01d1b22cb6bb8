import type { Factor, Status } from '@headless-mfa/client'
import { button, el, field, link, newId } from '../dom.ts'
import type { Page } from '../main.ts'
import { removeFactor } from '../passkey.ts'
import { complaint } from '../problems.ts'
import { mfa } from '../session.ts'
import { day, text } from '../texts.ts'
import { newCodesButton, reminders } from './application.ts'

const SET_UP = `/second-factor/set-up?return_to=${encodeURIComponent('/app/settings/security')}`

export const securityPage: Page = async () => {
  const status = await mfa.getStatus()
  const title = [el('h1', {}, text('security')), el('h2', {}, text('twoFactor'))]
  if (!status.enrolled) {
    // A user who comes by SSO alone is left to it; asking for a code of ours, too, would be one too many.
    if (status.decision.reason === 'exempt_sso') return [...title, el('p', {}, text('leftToSso'))]
    return [...title, ...reminders(status), el('p', {}, text('isOff')), el('p', {}, link(text('enable'), SET_UP, 'button'))]
  }
  return [...title, el('p', {}, text('isOn')), ...reminders(status), ...authenticators(status), ...codes(status), ...everywhere()]
}

function authenticators ({ factors }: Status): Node[] {
  const active = factors.filter(({ status }) => status !== 'pending')
  const items = active.map(factor => {
    const { passkey } = factor
    const about = [
      text(passkey === null ? 'isApp' : 'isPasskey'),
      ...(passkey?.provider != null && passkey.provider !== factor.label ? [passkey.provider] : []),
      ...(passkey?.synced === true ? [text('isSynced')] : []),
      text('addedOn', { time: day(factor.confirmedAt ?? factor.createdAt) }),
      factor.lastUsedAt === null ? text('neverUsed') : text('lastUsed', { time: day(factor.lastUsedAt) }),
      ...(factor.status === 'locked' ? [text('isLocked')] : []),
      ...(passkey?.usable === false ? [text('isUnusable')] : [])
    ]
    return el('li', {},
      el('div', {}, el('strong', {}, factor.label), el('br'), el('small', {}, about.join(', '))),
      button(text('rename'), () => { rename(factor) }, 'quiet'),
      button(text('remove'), () => { remove(factor, active.length === 1) }, 'quiet'))
  })
  for (const [index, item] of items.entries()) {
    const [renaming, removing] = item.querySelectorAll('button')
    const { label = '' } = active[index] ?? {}
    renaming?.setAttribute('aria-label', text('renameOf', { label }))
    removing?.setAttribute('aria-label', text('removeOf', { label }))
  }
  return [
    el('h3', {}, text('authenticators')),
    el('ul', { className: 'list' }, ...items),
    el('p', {}, link(text('addAnother'), SET_UP, 'button quiet'))
  ]
}

/** A question over the page; `act` rejects with what the service says. */
function ask (title: string, content: Node[], submit: string, act: () => Promise<unknown>): void {
  const id = newId()
  const form = el('form', {}, ...content)
  const { element, explain, clear } = complaint(form)
  form.append(element, el('div', { className: 'row' }, el('button', {}, submit), button(text('cancel'), () => { close() }, 'quiet awake')))
  const dialog = el('dialog', { attributes: { 'aria-labelledby': id } }, el('h2', { id }, title), form)
  const close = (): void => { dialog.close(); dialog.remove() }
  form.addEventListener('submit', event => {
    event.preventDefault()
    clear()
    act().then(() => { location.reload() }, explain)
  })
  dialog.addEventListener('close', () => { dialog.remove() })
  document.body.append(dialog)
  dialog.showModal()
}

function rename ({ id, label }: Factor): void {
  const input = el('input', { name: 'label', value: label, required: true, maxLength: 64, attributes: { autocomplete: 'off' } })
  ask(text('renameOf', { label }), [field(text('label'), input)], text('save'), () => mfa.renameFactor(id, { label: input.value.trim() }))
}

function remove (factor: Factor, isLast: boolean): void {
  const { label, kind } = factor
  ask(
    text('removeOf', { label }),
    [
      el('p', {}, text(kind === 'passkey' ? 'removeSurePasskey' : 'removeSure', { label })),
      ...(isLast ? [el('p', { className: 'note' }, text('removeLast'))] : [])
    ],
    text('remove'),
    () => removeFactor(factor)
  )
}

function codes ({ recoveryCodes }: Status): Node[] {
  if (recoveryCodes === null) return []
  const { remaining, total } = recoveryCodes
  return [el('h3', {}, text('recoveryCodes')), el('p', {}, text('codesLeft', { remaining, total })), newCodesButton()]
}

function everywhere (): Node[] {
  const { element, explain } = complaint()
  const told = el('p', { attributes: { role: 'status' } })
  return [el('h3', {}, text('signOutEverywhere')), button(text('signOutEverywhere'), () => {
    mfa.endAllSessions().then(() => { told.textContent = text('signedOutEverywhere') }, explain)
  }, 'quiet'), told, element]
}
