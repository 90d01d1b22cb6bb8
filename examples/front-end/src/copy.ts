import { button, el } from './dom.ts'
import { type Texts, text } from './texts.ts'

/** A button that copies `what`, and where it says that it did, or that the browser does not let it. */
export function copying (label: keyof Texts, what: string): { copy: HTMLElement, told: HTMLElement } {
  const told = el('span', { attributes: { role: 'status' } })
  const go = async (): Promise<void> => {
    told.textContent = await navigator.clipboard.writeText(what).then(() => text('copied'), () => text('notCopied'))
  }
  return { copy: button(text(label), () => { void go() }, 'quiet'), told }
}
