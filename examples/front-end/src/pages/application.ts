import { problemOf, type Status } from '@headless-mfa/client'
import { button, el, link } from '../dom.ts'
import type { Page } from '../main.ts'
import { complaint } from '../problems.ts'
import { mfa } from '../session.ts'
import { moment, text } from '../texts.ts'
import { recoveryCodes, show } from './codes.ts'

/** What a visit reminds of: a deadline, codes that are not saved, codes that run low. */
export function reminders ({ decision, enrolled, recoveryCodes: codes }: Status): Node[] {
  const notes: Node[] = []
  if (decision.action === 'allow' && decision.deadline !== undefined) {
    notes.push(
      el(
        'p',
        { className: 'note' },
        text('mustBefore', { time: moment(decision.deadline) }),
        ' ',
        link(text('enable'), '/second-factor/set-up')
      )
    )
  }
  if (!enrolled || codes === null) return notes
  if (codes.acknowledgedAt === null) notes.push(offerNewCodes(text('notSaved')))
  else if (codes.remaining <= 3) {
    notes.push(
      offerNewCodes(
        codes.remaining === 0 ? text('lowNone') : codes.remaining === 1 ? text('lowOne') : text('low', { count: codes.remaining })
      )
    )
  }
  return notes
}

const offerNewCodes = (why: string): Node => el('div', { className: 'note' }, el('p', {}, why), newCodesButton())

export function newCodesButton (): Node {
  const { element, explain } = complaint()
  const go = async (): Promise<void> => {
    try {
      const { recoveryCodes: codes } = await mfa.replaceRecoveryCodes()
      show(recoveryCodes(codes, () => { location.reload() }))
    } catch (error) { explain(error, { outcome_unknown: 'codes_unknown' }) }
  }
  return el('div', {}, button(text('newCodes'), () => { void go() }, 'quiet'), element)
}

export const documentsPage: Page = async () => {
  const [status, answer] = await Promise.all([mfa.getStatus(), fetch('/app/api/documents')])
  const { documents } = await answer.json() as { documents: string[] }
  return [
    el('h1', {}, text('welcome', { name: status.account })),
    ...reminders(status),
    el('h2', {}, text('documents')),
    el('ul', {}, ...documents.map(name => el('li', {}, name))),
    el('p', {}, link(text('salaries'), '/app/salaries'))
  ]
}

/** Here the gateway asks for a passkey (`acr=phr`). The same question to the service asks the user, in the dialog of every step-up. */
export const salariesPage: Page = async () => {
  const title = el('h1', {}, text('salaries'))
  let answer = await fetch('/app/api/salaries')
  try {
    if (!answer.ok) {
      await mfa.renewToken({ acr: 'phr' })
      answer = await fetch('/app/api/salaries')
    }
  } catch (error) {
    const { code } = problemOf(error)
    if (code !== 'step_up_required' && code !== 'not_enrolled') throw error
    const setUp = `/second-factor/set-up?kind=passkey&return_to=${encodeURIComponent('/app/salaries')}`
    if (code === 'not_enrolled') return [title, el('p', {}, text('passkeyNeeded')), link(text('setUpPasskey'), setUp, 'button')]
    // The user has closed the dialog: theirs may be on another device.
    return [
      title,
      el('p', {}, text('stepUpPasskey')),
      el('p', { className: 'row' }, link(text('usePasskey'), location.href, 'button'), link(text('passkeyHere'), setUp))
    ]
  }
  const { salaries } = await answer.json() as { salaries: string[] }
  return [title, el('ul', {}, ...salaries.map(line => el('li', {}, line)))]
}

export const settingsPage: Page = async () => [
  el('h1', {}, text('settings')),
  el('p', {}, text('settingsText')),
  el(
    'ul',
    { className: 'list' },
    el('li', {}, link(text('security'), '/app/settings/security')),
    el('li', {}, link(text('administration'), '/app/administration'))
  )
]

export const disabledPage: Page = async () => [el('h1', {}, text('disabled')), el('p', {}, text('disabledText'))]
