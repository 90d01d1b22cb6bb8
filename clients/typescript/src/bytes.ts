// Base64url, as tokens and passkeys have it. Browsers and Node have what it needs, and React Native does not.
const { atob, btoa } = globalThis as unknown as Record<'atob' | 'btoa', (text: string) => string>

export const toBytes = (text: string): Uint8Array =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), character => character.charCodeAt(0))

export const toText = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
