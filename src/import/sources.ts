import { readAegis } from './aegis.ts'
import { readAllauth } from './allauth.ts'
import { readAuthelia } from './authelia.ts'
import { type BetterAuthSecrets, readBetterAuth } from './better-auth.ts'
import { readBitwarden } from './bitwarden.ts'
import type { Found, Identity } from './found.ts'
import { readGoogleAuthenticator } from './google-authenticator.ts'
import { readKeycloak } from './keycloak.ts'
import { readOathCsv } from './oath-csv.ts'
import { readOtpauthCsv } from './otpauth-csv.ts'

/** What only some files need to be told of. */
export interface ReadOptions { usersModel?: string | undefined, secrets?: BetterAuthSecrets }

export interface Source {
  /** Of `--help`. */
  file: string
  /** Which of their names is the subject, if nothing else is said. */
  subject: keyof Identity
  /** Accounts of many issuers, of which one is ours. */
  isApp?: true
  read: (file: string, options: ReadOptions) => Found[]
}

/** Where users can come from. A further one is a reader, an entry here and in docs/import.md, a fixture and a test. */
export const SOURCES = {
  allauth: {
    file: 'django-allauth: manage.py dumpdata mfa.authenticator and the users, JSON or JSON lines',
    subject: 'id',
    read: (file, { usersModel }) => readAllauth(file, usersModel)
  },
  authelia: { file: 'Authelia: authelia storage user totp export, also with csv or uri', subject: 'username', read: readAuthelia },
  'better-auth': {
    file: 'better-auth: the rows of its tables twoFactor and user, as JSON',
    subject: 'id',
    read: (file, { secrets = {} }) => readBetterAuth(file, secrets)
  },
  keycloak: { file: 'Keycloak: kc.sh export --users same_file', subject: 'id', read: readKeycloak },
  'oath-csv': { file: 'tokens of Entra ID, privacyIDEA, LinOTP or their vendors, as CSV', subject: 'username', read: readOathCsv },
  'otpauth-csv': { file: 'any other system: CSV with the columns subject,account,otpauth', subject: 'id', read: readOtpauthCsv },
  aegis: { file: 'Aegis: its export without encryption', subject: 'username', isApp: true, read: readAegis },
  bitwarden: {
    file: 'Bitwarden, Bitwarden Authenticator: their exports as JSON without encryption',
    subject: 'username',
    isApp: true,
    read: readBitwarden
  },
  'google-authenticator': {
    file: 'Google Authenticator: the otpauth-migration: URIs of its QR codes, one a line',
    subject: 'username',
    isApp: true,
    read: readGoogleAuthenticator
  }
} as const satisfies Record<string, Source>
