/** What a page is made of: an element with its properties, and what is in it. */
type Properties<K extends keyof HTMLElementTagNameMap> = Partial<Omit<HTMLElementTagNameMap[K], 'style' | 'children' | 'attributes'>> & {
  attributes?: Record<string, string>
}
type Child = Node | string | null | undefined | false

export function el<K extends keyof HTMLElementTagNameMap> (
  name: K,
  properties: Properties<K> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const { attributes = {}, ...rest } = properties
  const element = Object.assign(document.createElement(name), rest)
  for (const [key, value] of Object.entries<string>(attributes)) element.setAttribute(key, value)
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false))
  return element
}

let count = 0
/** An id that nothing else has, to tie a label or a hint to its field. */
export const newId = (): string => `id-${++count}`

/** A label and its field, and a hint that is read with it. */
export function field (label: string, input: HTMLInputElement, hint?: string): HTMLElement {
  input.id ||= newId()
  const hintId = newId()
  if (hint !== undefined) input.setAttribute('aria-describedby', hintId)
  return el(
    'div',
    { className: 'field' },
    el('label', { htmlFor: input.id }, label),
    input,
    hint === undefined ? null : el('p', { id: hintId, className: 'hint' }, hint)
  )
}

export const button = (text: string, onclick: () => void, className = ''): HTMLButtonElement =>
  el('button', { type: 'button', className, onclick }, text)

export const link = (text: string, href: string, className = ''): HTMLAnchorElement => el('a', { href, className }, text)
