import { el, field, link } from '../dom.ts'
import type { Page } from '../main.ts'
import { complaint } from '../problems.ts'
import { mfa, nextPage, returnTo, signIn } from '../session.ts'
import { text } from '../texts.ts'

/** After any sign-in: ask what must happen next, and go there. */
export const signedInPage: Page = async () => {
  location.replace(nextPage(await mfa.getStatus(), returnTo()))
  return []
}

export const signInPage: Page = async () => {
  const name = el('input', {
    name: 'name',
    required: true,
    attributes: { autocomplete: 'username', autocapitalize: 'none', 'data-first': '' }
  })
  const password = el('input', { name: 'password', type: 'password', required: true, attributes: { autocomplete: 'current-password' } })
  const form = el('form', {}, field(text('name'), name), field(text('password'), password))
  const { element, say, clear, explain } = complaint(form)
  form.append(element, el('button', {}, text('signIn')))
  const go = async (): Promise<void> => {
    clear()
    try {
      if (!await signIn(name.value, password.value)) return say(text('wrongPassword'))
      location.assign(nextPage(await mfa.getStatus(), returnTo()))
    } catch (error) { explain(error) }
  }
  form.addEventListener('submit', event => { event.preventDefault(); void go() })
  return [
    el('h1', {}, text('signIn')),
    form,
    el('p', {}, link(text('companySignIn'), `/auth/sso?return_to=${encodeURIComponent(returnTo())}`, 'button quiet'))
  ]
}
