import { type EnrollAnswer, problemOf, type Status } from '@headless-mfa/client'
import { registerPasskey } from '@headless-mfa/client/passkeys'
import { codeForm } from '../code-form.ts'
import { copying } from '../copy.ts'
import { button, el, field } from '../dom.ts'
import type { Page } from '../main.ts'
import { isUnknown, mayHavePasskey, passkeyButton, removeFactor } from '../passkey.ts'
import { complaint } from '../problems.ts'
import { isPasskeyAsked, mfa, nextPage, returnTo } from '../session.ts'
import { text } from '../texts.ts'
import { recoveryCodes, show } from './codes.ts'

/** A passkey, or an app to scan and prove; then the recovery codes, a passkey's first use, and after a loss the old device. */
export const setUpPage: Page = async () => {
  const status = await mfa.getStatus()
  if (status.decision.action === 'verify' || status.decision.action === 'deny') {
    location.replace(nextPage(status, location.pathname + location.search))
    return []
  }
  // A new sign-in would come back here: this page is the end.
  if (status.decision.action === 'enroll' && status.decision.loginTimeUnknown === true) {
    return [el('h1', {}, text('setUp')), el('p', { className: 'note', attributes: { role: 'alert' } }, text('login_time_unknown'))]
  }
  const isLost = new URLSearchParams(location.search).has('lost')
  const isAsked = isPasskeyAsked()
  const mayPasskey = mayHavePasskey(status)
  if (isAsked && !mayPasskey) {
    const why = status.offers.includes('passkey') ? 'passkey_unsupported' : 'not_offered'
    return [el('h1', {}, text('setUpPasskey')), el('p', { className: 'note', attributes: { role: 'alert' } }, text(why))]
  }
  const label = el('input', { name: 'label', maxLength: 64, attributes: { autocomplete: 'off', 'data-first': '' } })
  const { element, explain, clear } = complaint()
  const named = (): { label?: string } => {
    const name = label.value.trim()
    return name === '' ? {} : { label: name }
  }
  const goOn = (): void => { location.assign(returnTo()) }
  const end = (): void => {
    const old = status.factors.filter(({ status }) => status !== 'pending')
    if (isLost && old.length > 0) show(removeOld(old, goOn))
    else goOn()
  }
  const setUpPasskey = async (): Promise<void> => {
    clear()
    try {
      const { recoveryCodes: codes } = await registerPasskey(mfa, named())
      const tryIt = (): void => { show(firstUse(end)) }
      if (codes !== null) show(recoveryCodes(codes, tryIt))
      else tryIt()
    } catch (error) {
      explain(error)
      // It may be set up already: then the application asks for it, and offers new recovery codes.
      if (isUnknown(error)) element.append(' ', button(text('next'), goOn))
    }
  }
  const setUpApp = async (): Promise<void> => {
    clear()
    try {
      show(scan(await mfa.startEnrollment(named()), end))
      document.querySelector<HTMLElement>('input.digits')?.focus()
    } catch (error) { explain(error) }
  }
  const form = el('form', {},
    field(text('label'), label, text('labelHint')),
    element,
    el('button', {}, text(mayPasskey ? 'setUpPasskey' : 'next')),
    mayPasskey && el('p', { className: 'hint' }, text('passkeyHint')),
    mayPasskey && !isAsked && button(text('setUpApp'), () => { void setUpApp() }, 'quiet'),
    mayPasskey && !isAsked && el('p', { className: 'hint' }, text('appHint')))
  form.addEventListener('submit', event => { event.preventDefault(); void (mayPasskey ? setUpPasskey() : setUpApp()) })
  const why = isAsked ? 'passkeyNeeded' : status.decision.action === 'enroll' ? 'setUpRequired' : isLost ? 'setUpLost' : undefined
  return [
    el('h1', {}, text(isAsked ? 'setUpPasskey' : status.enrolled ? 'setUpAnew' : 'setUp')),
    ...(why === undefined ? [] : [el('p', { className: 'note' }, text(why))]),
    form
  ]
}

/** A set-up proves nothing yet: the first use does, while the device is at hand. */
function firstUse (goOn: () => void): Node[] {
  const { element, stop } = passkeyButton('tryIt', undefined, goOn)
  return [
    el('h1', { tabIndex: -1 }, text('tryTitle')),
    el('p', {}, text('tryText')),
    element,
    el('p', {}, button(text('later'), () => { stop(); goOn() }, 'quiet'))
  ]
}

function scan ({ factorId, qrCode, secret }: EnrollAnswer, end: () => void): Node[] {
  const { copy, told } = copying('copyKey', secret)
  const { form } = codeForm({
    label: text('codeOfApp'),
    words: {},
    submit: text('confirm'),
    onCode: async code => {
      const { recoveryCodes: codes } = await mfa.confirmEnrollment({ factorId, code }).catch((error: unknown) => {
        const { code } = problemOf(error)
        // It may be set up already: then the application asks for a code, and offers new recovery codes.
        if (code === 'outcome_unknown') form.append(button(text('next'), () => { location.assign(returnTo()) }, 'awake'))
        // Tried too often, or too late: this one is gone, and a new one is a click away.
        if (code === 'not_found') form.append(button(text('next'), () => { location.reload() }, 'awake'))
        throw error
      })
      if (codes !== null) show(recoveryCodes(codes, end))
      else end()
    }
  })
  return [
    el('h1', { tabIndex: -1 }, text('scan')),
    el('p', {}, text('scanText')),
    el('img', { src: qrCode, alt: text('qrAlt'), className: 'qr' }),
    el('p', {}, text('key'), el('br'), el('code', { className: 'secret' }, (secret.match(/.{1,4}/g) ?? []).join(' '))),
    el('p', { className: 'row' }, copy, told),
    form
  ]
}

function removeOld (old: Status['factors'], goOn: () => void): Node[] {
  const { element, explain } = complaint()
  const list = el('ul', { className: 'list' })
  for (const factor of old) {
    const { label } = factor
    const item = el('li', {}, el('strong', {}, label), button(text('removeOf', { label }), () => {
      removeFactor(factor).then(() => { item.remove(); if (list.children.length === 0) goOn() }, explain)
    }))
    list.append(item)
  }
  return [
    el('h1', { tabIndex: -1 }, text('removeOld')),
    el('p', {}, text('removeOldText')),
    list,
    element,
    button(text('keepIt'), goOn, 'quiet')
  ]
}
