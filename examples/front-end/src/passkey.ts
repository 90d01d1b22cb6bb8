import { type Factor, problemOf, type Status } from '@headless-mfa/client'
import { isSupported, PasskeyError, prepare, provePasskey, removePasskey } from '@headless-mfa/client/passkeys'
import { button, el } from './dom.ts'
import { type Complaint, complaint } from './problems.ts'
import { mfa } from './session.ts'
import { type Texts, text } from './texts.ts'

/** Can the user set a passkey up here? */
export const mayHavePasskey = ({ offers }: Status): boolean => offers.includes('passkey') && isSupported()

/** Has the user one that this page may ask for? */
export const hasPasskey = ({ factors }: Status): boolean => isSupported() && factors.some(({ passkey }) => passkey?.usable === true)

/** Has the user an app that shows codes? One that is locked says so when a code is typed. */
export const hasApp = ({ factors }: Status): boolean => factors.some(isApp)

export const isApp = ({ kind, status }: Factor): boolean => kind === 'totp' && status !== 'pending'

const WORDS: Parameters<Complaint['explain']>[1] = {
  code_refused: 'passkey_refused' satisfies keyof Texts,
  not_enrolled: 'passkey_not_enrolled' satisfies keyof Texts
}

export interface PasskeyButton {
  element: HTMLElement
  /** When it is not needed any more. */
  stop: () => void
}

/** A button that asks for the passkey. Its challenge comes now, so that the browser asks straight from the click. */
export function passkeyButton (label: keyof Texts, acr: 'phr' | undefined, onProved: () => void): PasskeyButton {
  const prepared = prepare(mfa)
  const { element, explain, clear } = complaint()
  const go = async (): Promise<void> => {
    clear()
    press.disabled = true
    try {
      await provePasskey(mfa, { prepared, acr })
      prepared.stop()
      onProved()
    } catch (error) {
      explain(error, WORDS)
    } finally {
      press.disabled = false
    }
  }
  const press = button(text(label), () => { void go() }, 'awake')
  return { element: el('div', { className: 'passkey' }, press, element), stop: prepared.stop }
}

/** Of a passkey the browser is told, too, so that it offers no dead one. */
export const removeFactor = (factor: Factor): Promise<unknown> =>
  factor.kind === 'passkey' ? removePasskey(mfa, factor) : mfa.removeFactor(factor.id)

/** May the passkey count all the same, as its answer was lost on the way? */
export const isUnknown = (error: unknown): boolean =>
  !(error instanceof PasskeyError) && ['outcome_unknown', 'unreachable', 'internal'].includes(problemOf(error).code)
