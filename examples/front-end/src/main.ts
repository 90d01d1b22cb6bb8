import { problemOf } from '@headless-mfa/client'
import { button, el, link } from './dom.ts'
import { codePage, recoveryPage } from './pages/code.ts'
import { administrationPage } from './pages/administration.ts'
import { disabledPage, documentsPage, salariesPage, settingsPage } from './pages/application.ts'
import { securityPage } from './pages/security.ts'
import { setUpPage } from './pages/set-up.ts'
import { signedInPage, signInPage } from './pages/sign-in.ts'
import { complaint } from './problems.ts'
import { logOut } from './session.ts'
import { chooseLanguage, language, languages, text } from './texts.ts'

/** A page: what stands under `main`. What begins with /app/ is behind the gateway, which has asked before it is here. */
export type Page = () => Promise<Node[]>

const pages: Record<string, Page> = {
  '/': signInPage,
  '/sign-in': signInPage,
  '/signed-in': signedInPage,
  '/second-factor/code': codePage,
  '/second-factor/recovery': recoveryPage,
  '/second-factor/set-up': setUpPage,
  '/disabled': disabledPage,
  '/app/': documentsPage,
  '/app/salaries': salariesPage,
  '/app/settings': settingsPage,
  '/app/settings/security': securityPage,
  '/app/administration': administrationPage
}

const main = document.querySelector('main') as HTMLElement

function header (): Node[] {
  const isInside = location.pathname.startsWith('/app/')
  const select = el('select', { attributes: { 'aria-label': 'Language / Sprache' }, onchange: () => { chooseLanguage(select.value) } },
    ...languages.map(({ code, name }) => el('option', { value: code, selected: code === language, lang: code }, name)))
  return [
    isInside
      ? el('nav', { attributes: { 'aria-label': text('app') } }, link(text('profile'), '/app/'), link(text('settings'), '/app/settings'))
      : el('span', { className: 'brand' }, text('app')),
    el(
      'div',
      { className: 'tools' },
      select,
      isInside || location.pathname.startsWith('/second-factor/')
        ? button(text('logOut'), () => {
          void logOut()
        }, 'quiet')
        : null
    )
  ]
}

async function render (): Promise<void> {
  document.querySelector('header')?.replaceChildren(...header())
  const page = pages[location.pathname] ?? (async () => [el('h1', {}, text('notFound'))])
  try {
    main.replaceChildren(...await page())
  } catch (error) {
    if (problemOf(error).code === 'invalid_token') {
      location.assign(`/sign-in?return_to=${encodeURIComponent(location.pathname + location.search)}`)
      return
    }
    const { element, explain } = complaint()
    main.replaceChildren(el('h1', {}, text('app')), element)
    explain(error)
  }
  const heading = main.querySelector('h1')?.textContent ?? ''
  document.title = `${heading} – ${text('app')}`
  const first = main.querySelector<HTMLElement>('[data-first]') ?? main
  first.focus()
}

void render()
