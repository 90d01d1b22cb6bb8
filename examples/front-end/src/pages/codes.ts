import { copying } from '../copy.ts'
import { button, el, newId } from '../dom.ts'
import { mfa } from '../session.ts'
import { text } from '../texts.ts'

/** The recovery codes, this once: to copy, to download, to print; and on it goes when they are said to be saved. */
export function recoveryCodes (codes: string[], onSaved: () => void): Node[] {
  const all = `${codes.join('\n')}\n`
  const { copy, told } = copying('copy', all)
  const download = (): void => {
    const href = URL.createObjectURL(new Blob([all], { type: 'text/plain' }))
    const anchor = el('a', { href, download: 'recovery-codes.txt' })
    anchor.click()
    URL.revokeObjectURL(href)
  }
  const id = newId()
  const done = el('button', { type: 'button', disabled: true }, text('done'))
  const box = el('input', { type: 'checkbox', id, onchange: () => { done.disabled = !box.checked } })
  done.addEventListener('click', () => {
    done.disabled = true
    // If it cannot be said now, the next visit offers new ones: no reason to stay here.
    void mfa.acknowledgeRecoveryCodes().catch(() => {}).then(onSaved)
  })
  return [
    el('h1', { tabIndex: -1 }, text('codesTitle')),
    el('p', {}, text('codesText')),
    el('ol', { className: 'codes' }, ...codes.map(code => el('li', {}, el('code', {}, code)))),
    el(
      'p',
      { className: 'row' },
      copy,
      button(text('download'), download, 'quiet'),
      button(text('print'), () => {
        print()
      }, 'quiet'),
      told
    ),
    el('p', { className: 'check' }, box, el('label', { htmlFor: id }, text('saved'))),
    done
  ]
}

/** In place of what is there, and the reader at its start. */
export function show (nodes: Node[]): void {
  const main = document.querySelector('main') as HTMLElement
  main.replaceChildren(...nodes)
  main.querySelector('h1')?.focus()
}
