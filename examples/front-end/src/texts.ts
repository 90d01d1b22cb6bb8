const en = {
  language: 'English',
  app: 'Example',
  signIn: 'Sign in',
  name: 'Name',
  password: 'Password',
  companySignIn: 'Sign in with your company',
  wrongPassword: 'That name and password do not belong together.',
  logOut: 'Log out',
  welcome: 'Hello, {name}',
  documents: 'Your documents',
  profile: 'Profile',
  settings: 'Settings',
  settingsText: 'What you can change here.',
  security: 'Security',
  administration: 'Administration',
  twoFactor: 'Two-factor authentication',
  isOff: 'It is off. With it, your password alone does not open your account: you also need a code of your phone.',
  isOn: 'It is on. When you sign in, you are asked for a code of an authenticator.',
  leftToSso: 'You sign in with your company, which takes care of a second factor. There is nothing for you to do here.',
  enable: 'Enable two-factor authentication',
  mustBefore: 'Your organisation requires two-factor authentication. Set it up before {time}.',
  setUp: 'Set up two-factor authentication',
  setUpAnew: 'Set up a new authenticator',
  setUpRequired: 'Your organisation requires two-factor authentication. Set it up to go on: it takes two minutes.',
  setUpLost: 'You are in. Now set up the phone that you have, so that the next sign-in is easy again.',
  label: 'What do you call this device?',
  labelHint: 'For instance: My phone. You may leave it empty.',
  next: 'Continue',
  scan: 'Scan this code with an authenticator app',
  scanText: 'Any app for six-digit codes will do. If you cannot scan, type the key into the app instead.',
  qrAlt: 'QR code of the key below',
  key: 'Key to type by hand',
  copyKey: 'Copy the key',
  codeOfApp: 'The six digits that the app shows',
  confirm: 'Turn it on',
  codeTitle: 'Enter your code',
  codeText: 'Open your authenticator app and type the six digits that it shows.',
  code: 'Six-digit code',
  verify: 'Continue',
  spent: 'The code that your app shows was used already. The next one appears in {seconds} seconds.',
  lost: 'Lost your phone?',
  recoveryTitle: 'Use a recovery code',
  recoveryText:
    'Type one of the codes that you saved when you set two-factor authentication up. Each works once. ' +
    'Your administrator can give you one, too.',
  recoveryCode: 'Recovery code',
  backToCode: 'I have my phone',
  codesTitle: 'Save your recovery codes',
  codesText:
    'With these you get in without your phone. Each works once. They are shown this one time: keep them apart from your password, as a ' +
    'file and on paper.',
  copy: 'Copy',
  copied: 'Copied.',
  notCopied: 'Copying did not work here: select it and copy it by hand.',
  download: 'Download',
  print: 'Print',
  saved: 'I saved them in a safe place',
  done: 'Done',
  notSaved: 'You have not said that your recovery codes are saved. If you are not sure, get new ones: the old ones end.',
  low: 'Only {count} recovery codes are left. Get new ones before you need them.',
  lowOne: 'Only one recovery code is left. Get new ones before you need them.',
  lowNone: 'No recovery code is left. Get new ones before you need them.',
  newCodes: 'Get new recovery codes',
  codesLeft: '{remaining} of {total} recovery codes are left.',
  recoveryCodes: 'Recovery codes',
  authenticators: 'Authenticators',
  addedOn: 'Added {time}',
  lastUsed: 'last used {time}',
  neverUsed: 'not used yet',
  isLocked: 'locked after too many wrong codes',
  rename: 'Rename',
  renameOf: 'Rename {label}',
  remove: 'Remove',
  removeOf: 'Remove {label}',
  removeSure: 'Remove {label}? Its codes will not work any more.',
  removeLast: 'It is the last one: two-factor authentication is off then, and the recovery codes end, too.',
  addAnother: 'Add another authenticator',
  save: 'Save',
  cancel: 'Cancel',
  removeOld: 'Do you still have your old device?',
  removeOldText: 'If it is lost, remove it, so that a finder cannot use your codes.',
  keepIt: 'I still have it',
  stepUpTitle: 'Is it you?',
  stepUpText: 'Before this is changed, enter a code of your authenticator.',
  adminCodeText: 'Your administrator gives you a code, with which you can go on.',
  signOutEverywhere: 'Sign out everywhere',
  signedOutEverywhere: 'Done: every other device is asked for a code again.',
  policyText: 'Who has a password must have a second factor, too. Who signs in with the company alone is left to it.',
  require: 'Require two-factor authentication of everybody',
  preview:
    'Of {users} users that were here, {enrolled} have it, {mustEnroll} would have to set it up, and {exempt} are left to the company.',
  policySaved: 'Saved. It counts from now on.',
  adminNeedsMfa: 'Who administers must have a second factor. Set it up first.',
  disabled: 'Your account is disabled',
  disabledText: 'Ask your administrator.',
  deniedHere: 'This is not for you to see.',
  notFound: 'There is no such page',
  code_refused: 'That code did not work. Check it, or wait for the next one.',
  code_refused_again: 'That code did not work either. Set the date and time of your phone to automatic, then use the next code.',
  recovery_refused: 'That code did not work. Check it against your list; each code works once.',
  too_many_attempts: 'Too many attempts. You can try again in {seconds} seconds.',
  factor_locked: 'Too many wrong codes: codes of your app do not count any more. Use a recovery code, or ask your administrator.',
  label_taken: 'You have an authenticator of that name already. Choose another.',
  too_many_factors: 'You have five authenticators, which is as many as there may be. Remove one first.',
  required_by_policy: 'Your organisation requires two-factor authentication, so the last authenticator stays. Add another first.',
  not_found: 'This took too long, or was tried too often. Begin again with a new QR code.',
  invalid_request: 'That is not complete. Check what you typed.',
  not_enrolled: 'Two-factor authentication is not set up yet.',
  login_time_unknown:
    'Two-factor authentication cannot be set up with this sign-in, and signing in again will not help. ' +
    'Your administrator has to change how you sign in: tell them “login_time_unknown”.',
  precondition_failed: 'Someone else has changed this meanwhile. Load the page again.',
  step_up_required: 'First a code or a new sign-in is needed.',
  forbidden: 'You may not do this.',
  unavailable: 'This does not work right now. You can try again in {seconds} seconds.',
  outcome_unknown: 'It is not known whether that was done. Load the page again and look, before you try it again.',
  code_unknown: 'It is not known whether that code counted. Use the next one.',
  recovery_unknown: 'It is not known whether that code counted. Use another one of your list.',
  codes_unknown: 'It is not known whether you have new recovery codes. Your old ones may not count any more: get new ones once more.',
  unreachable: 'There is no connection. Check it and try again.',
  other: 'That did not work. Try again.'
}

export type Texts = Record<keyof typeof en, string>

const de: Texts = {
  language: 'Deutsch',
  app: 'Beispiel',
  signIn: 'Anmelden',
  name: 'Name',
  password: 'Passwort',
  companySignIn: 'Über die Firma anmelden',
  wrongPassword: 'Name und Passwort gehören nicht zusammen.',
  logOut: 'Abmelden',
  welcome: 'Hallo, {name}',
  documents: 'Ihre Dokumente',
  profile: 'Profil',
  settings: 'Einstellungen',
  settingsText: 'Das können Sie hier ändern.',
  security: 'Sicherheit',
  administration: 'Verwaltung',
  twoFactor: 'Zwei-Faktor-Anmeldung',
  isOff: 'Sie ist aus. Mit ihr öffnet Ihr Passwort allein Ihr Konto nicht: Es braucht auch einen Code von Ihrem Telefon.',
  isOn: 'Sie ist an. Beim Anmelden werden Sie nach einem Code Ihrer Authenticator-App gefragt.',
  leftToSso: 'Sie melden sich über die Firma an, die sich um den zweiten Faktor kümmert. Hier ist für Sie nichts zu tun.',
  enable: 'Zwei-Faktor-Anmeldung einschalten',
  mustBefore: 'Ihre Organisation verlangt die Zwei-Faktor-Anmeldung. Richten Sie sie vor dem {time} ein.',
  setUp: 'Zwei-Faktor-Anmeldung einrichten',
  setUpAnew: 'Neuen Authenticator einrichten',
  setUpRequired: 'Ihre Organisation verlangt die Zwei-Faktor-Anmeldung. Richten Sie sie ein, dann geht es weiter: Es dauert zwei Minuten.',
  setUpLost: 'Sie sind angemeldet. Richten Sie nun das Telefon ein, das Sie haben, damit die nächste Anmeldung wieder leicht ist.',
  label: 'Wie nennen Sie dieses Gerät?',
  labelHint: 'Zum Beispiel: Mein Telefon. Es darf leer bleiben.',
  next: 'Weiter',
  scan: 'Scannen Sie diesen Code mit einer Authenticator-App',
  scanText: 'Jede App für sechsstellige Codes ist recht. ' +
    'Wenn Sie nicht scannen können, tippen Sie stattdessen den Schlüssel in die App.',
  qrAlt: 'QR-Code des Schlüssels darunter',
  key: 'Schlüssel zum Abtippen',
  copyKey: 'Schlüssel kopieren',
  codeOfApp: 'Die sechs Ziffern, die die App zeigt',
  confirm: 'Einschalten',
  codeTitle: 'Geben Sie Ihren Code ein',
  codeText: 'Öffnen Sie Ihre Authenticator-App und tippen Sie die sechs Ziffern, die sie zeigt.',
  code: 'Sechsstelliger Code',
  verify: 'Weiter',
  spent: 'Der Code, den Ihre App zeigt, ist schon verbraucht. Der nächste erscheint in {seconds} Sekunden.',
  lost: 'Telefon verloren?',
  recoveryTitle: 'Wiederherstellungscode verwenden',
  recoveryText:
    'Tippen Sie einen der Codes, die Sie beim Einrichten aufbewahrt haben. Jeder gilt einmal. Auch Ihre Verwaltung kann Ihnen einen geben.',
  recoveryCode: 'Wiederherstellungscode',
  backToCode: 'Ich habe mein Telefon',
  codesTitle: 'Bewahren Sie Ihre Wiederherstellungscodes auf',
  codesText:
    'Mit ihnen kommen Sie ohne Ihr Telefon hinein. Jeder gilt einmal. Sie werden nur dieses eine Mal gezeigt: ' +
    'Verwahren Sie sie getrennt vom Passwort, als Datei und auf Papier.',
  copy: 'Kopieren',
  copied: 'Kopiert.',
  notCopied: 'Das Kopieren geht hier nicht: Markieren Sie es und kopieren Sie es von Hand.',
  download: 'Herunterladen',
  print: 'Drucken',
  saved: 'Ich habe sie sicher aufbewahrt',
  done: 'Fertig',
  notSaved:
    'Sie haben noch nicht gesagt, dass Ihre Wiederherstellungscodes aufbewahrt sind. Wenn Sie nicht sicher sind, holen Sie neue: ' +
    'Die alten gelten dann nicht mehr.',
  low: 'Nur noch {count} Wiederherstellungscodes sind übrig. Holen Sie neue, bevor Sie sie brauchen.',
  lowOne: 'Nur noch ein Wiederherstellungscode ist übrig. Holen Sie neue, bevor Sie sie brauchen.',
  lowNone: 'Kein Wiederherstellungscode ist übrig. Holen Sie neue, bevor Sie sie brauchen.',
  newCodes: 'Neue Wiederherstellungscodes holen',
  codesLeft: '{remaining} von {total} Wiederherstellungscodes sind übrig.',
  recoveryCodes: 'Wiederherstellungscodes',
  authenticators: 'Authenticator-Apps',
  addedOn: 'Hinzugefügt {time}',
  lastUsed: 'zuletzt verwendet {time}',
  neverUsed: 'noch nicht verwendet',
  isLocked: 'nach zu vielen falschen Codes gesperrt',
  rename: 'Umbenennen',
  renameOf: '{label} umbenennen',
  remove: 'Entfernen',
  removeOf: '{label} entfernen',
  removeSure: '{label} entfernen? Die Codes davon gelten dann nicht mehr.',
  removeLast: 'Es ist die letzte: Die Zwei-Faktor-Anmeldung ist dann aus, und auch die Wiederherstellungscodes gelten nicht mehr.',
  addAnother: 'Weitere hinzufügen',
  save: 'Speichern',
  cancel: 'Abbrechen',
  removeOld: 'Haben Sie Ihr altes Gerät noch?',
  removeOldText: 'Wenn es verloren ist, entfernen Sie es, damit niemand, der es findet, Ihre Codes hat.',
  keepIt: 'Ich habe es noch',
  stepUpTitle: 'Sind Sie es?',
  stepUpText: 'Bevor das geändert wird, geben Sie einen Code Ihrer Authenticator-App ein.',
  adminCodeText: 'Ihre Verwaltung gibt Ihnen einen Code, mit dem es weitergeht.',
  signOutEverywhere: 'Überall abmelden',
  signedOutEverywhere: 'Erledigt: Jedes andere Gerät wird wieder nach einem Code gefragt.',
  policyText: 'Wer ein Passwort hat, braucht auch einen zweiten Faktor. Wer sich nur über die Firma anmeldet, bleibt ihr überlassen.',
  require: 'Zwei-Faktor-Anmeldung von allen verlangen',
  preview:
    'Von {users} Menschen, die hier waren, haben {enrolled} sie, {mustEnroll} müssten sie einrichten, und {exempt} bleiben der Firma ' +
    'überlassen.',
  policySaved: 'Gespeichert. Es gilt ab jetzt.',
  adminNeedsMfa: 'Wer verwaltet, braucht einen zweiten Faktor. Richten Sie ihn zuerst ein.',
  disabled: 'Ihr Konto ist abgeschaltet',
  disabledText: 'Fragen Sie Ihre Verwaltung.',
  deniedHere: 'Das ist nicht für Sie bestimmt.',
  notFound: 'Diese Seite gibt es nicht',
  code_refused: 'Dieser Code gilt nicht. Prüfen Sie ihn, oder warten Sie auf den nächsten.',
  code_refused_again:
    'Auch dieser Code gilt nicht. Stellen Sie Datum und Uhrzeit Ihres Telefons auf automatisch, und nehmen Sie dann den nächsten Code.',
  recovery_refused: 'Dieser Code gilt nicht. Vergleichen Sie ihn mit Ihrer Liste; jeder gilt einmal.',
  too_many_attempts: 'Zu viele Versuche. In {seconds} Sekunden können Sie es wieder versuchen.',
  factor_locked:
    'Zu viele falsche Codes: Codes Ihrer App gelten nicht mehr. Nehmen Sie einen Wiederherstellungscode, oder fragen Sie Ihre Verwaltung.',
  label_taken: 'Sie haben schon eine Authenticator-App dieses Namens. Wählen Sie einen anderen.',
  too_many_factors: 'Sie haben fünf Authenticator-Apps, mehr geht nicht. Entfernen Sie zuerst eine.',
  required_by_policy:
    'Ihre Organisation verlangt die Zwei-Faktor-Anmeldung, darum bleibt die letzte Authenticator-App. Fügen Sie zuerst eine hinzu.',
  not_found: 'Das hat zu lange gedauert oder wurde zu oft versucht. Beginnen Sie mit einem neuen QR-Code.',
  invalid_request: 'Das ist nicht vollständig. Prüfen Sie, was Sie getippt haben.',
  not_enrolled: 'Die Zwei-Faktor-Anmeldung ist noch nicht eingerichtet.',
  login_time_unknown:
    'Mit dieser Anmeldung lässt sich die Zwei-Faktor-Anmeldung nicht einrichten, und neu anmelden hilft nicht. ' +
    'Ihre Verwaltung muss ändern, wie Sie sich anmelden: Nennen Sie ihr „login_time_unknown“.',
  precondition_failed: 'Jemand anderes hat das inzwischen geändert. Laden Sie die Seite neu.',
  step_up_required: 'Zuerst braucht es einen Code oder eine neue Anmeldung.',
  forbidden: 'Das dürfen Sie nicht.',
  unavailable: 'Das geht gerade nicht. In {seconds} Sekunden können Sie es wieder versuchen.',
  outcome_unknown:
    'Ob das geschehen ist, ist nicht bekannt. Laden Sie die Seite neu und sehen Sie nach, bevor Sie es noch einmal versuchen.',
  code_unknown: 'Ob dieser Code gezählt hat, ist nicht bekannt. Nehmen Sie den nächsten.',
  recovery_unknown: 'Ob dieser Code gezählt hat, ist nicht bekannt. Nehmen Sie einen anderen von Ihrer Liste.',
  codes_unknown:
    'Ob Sie neue Wiederherstellungscodes haben, ist nicht bekannt. Die alten gelten vielleicht nicht mehr: Holen Sie noch einmal neue.',
  unreachable: 'Es gibt keine Verbindung. Prüfen Sie sie und versuchen Sie es wieder.',
  other: 'Das hat nicht geklappt. Versuchen Sie es noch einmal.'
}

const LANGUAGES = { en, de }
type Language = keyof typeof LANGUAGES
const isLanguage = (text: string | null | undefined): text is Language => text === 'en' || text === 'de'

const stored = localStorage.getItem('language')
/** What was chosen here, else the browser's, else English. */
export const language: Language = isLanguage(stored) ? stored : navigator.languages.map(tag => tag.slice(0, 2)).find(isLanguage) ?? 'en'
document.documentElement.lang = language

export const languages = Object.entries(LANGUAGES).map(([code, texts]) => ({ code, name: texts.language }))

export function chooseLanguage (code: string): void {
  localStorage.setItem('language', code)
  location.reload()
}

/** A text, with what belongs into its braces. */
export function text (key: keyof Texts, values: Record<string, string | number> = {}): string {
  return LANGUAGES[language][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''))
}

export const day = (time: string): string => new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(new Date(time))
export const moment = (time: string): string =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time))
