import { problemOf } from '@headless-mfa/client'
import { el, link, newId } from '../dom.ts'
import type { Page } from '../main.ts'
import { complaint } from '../problems.ts'
import { mfa } from '../session.ts'
import { text } from '../texts.ts'

/** The flag, and before it is turned which users it would hit. */
export const administrationPage: Page = async () => {
  const title = el('h1', {}, text('administration'))
  try {
    const policy = await mfa.getPolicy()
    const [{ users, enrolled, mustEnroll, exempt }, { passkeys }, { items }] = await Promise.all([
      mfa.previewPolicy({ enforcement: 'required' }),
      mfa.getStats(),
      mfa.listUsers({ factor: 'passkey', limit: 50 })
    ])
    const { element, explain, clear } = complaint()
    const told = el('p', { attributes: { role: 'status' } })
    const id = newId()
    const box = el('input', {
      type: 'checkbox',
      id,
      checked: policy.enforcement === 'required',
      onchange: () => {
        clear()
        told.textContent = ''
        const { checked } = box
        mfa.setPolicy({ enforcement: checked ? 'required' : 'optional' }).then(() => {
          told.textContent = text('policySaved')
        }, (error: unknown) => {
          box.checked = !checked
          explain(error)
        })
      }
    })
    return [
      title,
      el('p', {}, text('policyText')),
      el('p', {}, text('preview', { users, enrolled, mustEnroll, exempt })),
      el('p', { className: 'check' }, box, el('label', { htmlFor: id }, text('require'))),
      told,
      element,
      el('h2', {}, text('passkeys')),
      el('p', {}, text('passkeysCount', { users: passkeys.users, synced: passkeys.synced })),
      el('ul', {}, ...items.map(({ account }) => el('li', {}, account)))
    ]
  } catch (error) {
    const { code } = problemOf(error)
    if (code === 'forbidden') return [title, el('p', {}, text('deniedHere'))]
    if (code === 'not_enrolled') {
      return [
        title,
        el('p', {}, text('adminNeedsMfa')),
        el('p', {}, link(text('enable'), `/second-factor/set-up?return_to=${encodeURIComponent('/app/administration')}`, 'button'))
      ]
    }
    throw error
  }
}
