import { type EnrollAnswer, problemOf, type Status } from '@headless-mfa/client'
import { codeForm } from '../code-form.ts'
import { copying } from '../copy.ts'
import { button, el, field } from '../dom.ts'
import type { Page } from '../main.ts'
import { complaint } from '../problems.ts'
import { mfa, nextPage, returnTo } from '../session.ts'
import { text } from '../texts.ts'
import { recoveryCodes, show } from './codes.ts'

/** Name it, scan it, prove it; then the recovery codes, or after a loss the old device. */
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
  const label = el('input', { name: 'label', maxLength: 64, attributes: { autocomplete: 'off', 'data-first': '' } })
  const form = el('form', {}, field(text('label'), label, text('labelHint')))
  const { element, explain, clear } = complaint(form)
  form.append(element, el('button', {}, text('next')))
  const go = async (): Promise<void> => {
    clear()
    try {
      const name = label.value.trim()
      show(scan(status, await mfa.startEnrollment(name === '' ? {} : { label: name }), isLost))
      document.querySelector<HTMLElement>('input.digits')?.focus()
    } catch (error) { explain(error) }
  }
  form.addEventListener('submit', event => { event.preventDefault(); void go() })
  const why = status.decision.action === 'enroll' ? 'setUpRequired' : isLost ? 'setUpLost' : undefined
  return [
    el('h1', {}, text(status.enrolled ? 'setUpAnew' : 'setUp')),
    ...(why === undefined ? [] : [el('p', { className: 'note' }, text(why))]),
    form
  ]
}

function scan (before: Status, { factorId, qrCode, secret }: EnrollAnswer, isLost: boolean): Node[] {
  const { copy, told } = copying('copyKey', secret)
  const { form } = codeForm({
    label: text('codeOfApp'),
    words: {},
    submit: text('confirm'),
    onCode: async code => {
      const goOn = (): void => { location.assign(returnTo()) }
      const { recoveryCodes: codes } = await mfa.confirmEnrollment({ factorId, code }).catch((error: unknown) => {
        const { code } = problemOf(error)
        // It may be set up already: then the application asks for a code, and offers new recovery codes.
        if (code === 'outcome_unknown') form.append(button(text('next'), goOn, 'awake'))
        // Tried too often, or too late: this one is gone, and a new one is a click away.
        if (code === 'not_found') form.append(button(text('next'), () => { location.reload() }, 'awake'))
        throw error
      })
      const old = before.factors.filter(({ status }) => status !== 'pending')
      if (codes !== null) show(recoveryCodes(codes, goOn))
      else if (isLost && old.length > 0) show(removeOld(old, goOn))
      else goOn()
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
  for (const { id, label } of old) {
    const item = el('li', {}, el('strong', {}, label), button(text('removeOf', { label }), () => {
      mfa.removeFactor(id).then(() => { item.remove(); if (list.children.length === 0) goOn() }, explain)
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
