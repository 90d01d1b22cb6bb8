/**
 * Is it an origin as a browser writes it? An app in a WebView has a scheme of its own (`capacitor://localhost`), of which `URL`
 * says "null".
 */
export function isOrigin (text: string): boolean {
  if (!URL.canParse(text) || text.includes('*')) return false
  const { origin, protocol, host } = new URL(text)
  return host !== '' && protocol !== 'file:' && text === (origin === 'null' ? `${protocol}//${host}` : origin)
}
