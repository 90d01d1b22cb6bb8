import { isPublicAddress } from '../platform/address.ts'
import { refusePlaceholder } from './placeholder.ts'
import { ConfigError, isLoopback, type Reader, url } from './readers.ts'

/** Where webhook events go. A user or password in it would stand in each log of a proxy; a fragment is never sent. */
export const webhookUrl: Reader<string> = (name, raw) => {
  const { href, username, password, hash } = new URL(url(['https:', 'http:'])(name, raw))
  if (username !== '' || password !== '') throw new ConfigError(name, 'holds a user or a password')
  if (hash !== '') throw new ConfigError(name, 'holds a fragment')
  return href
}

/** The bytes of a secret of Standard Webhooks. */
export const secretBytes = (secret: string): Buffer => Buffer.from(secret.slice('whsec_'.length), 'base64')

/** `whsec_` and base64 of 24 to 64 bytes, as Standard Webhooks has it; the first is the newest. */
export const parseWebhookSecrets: Reader<readonly string[]> = (name, raw) => {
  const secrets = raw.split(',').map(part => part.trim())
  for (const secret of secrets) {
    if (!/^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(secret)) {
      throw new ConfigError(name, 'is not of the form whsec_base64')
    }
    const bytes = secretBytes(secret)
    if (bytes.length < 24 || bytes.length > 64) throw new ConfigError(name, `has ${bytes.length} bytes where 24 to 64 are needed`)
    refusePlaceholder(name, bytes, 'echo "whsec_$(openssl rand -base64 32)"')
  }
  return secrets
}

/**
 * Both or neither; and what can be seen of the address already. What its name resolves to is asked at each delivery.
 */
export function checkWebhook ({ WEBHOOK_URL, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE }: Record<string, unknown>): void {
  if (WEBHOOK_URL === undefined && WEBHOOK_SECRET !== undefined) {
    throw new ConfigError('WEBHOOK_URL', 'is missing where WEBHOOK_SECRET is set')
  }
  if (WEBHOOK_URL === undefined) return
  if (WEBHOOK_SECRET === undefined) throw new ConfigError('WEBHOOK_SECRET', 'is missing where WEBHOOK_URL is set')
  if (WEBHOOK_ALLOW_PRIVATE === true) return
  const { protocol, hostname } = new URL(WEBHOOK_URL as string)
  if (protocol !== 'https:') throw new ConfigError('WEBHOOK_URL', 'must begin with https: (or set WEBHOOK_ALLOW_PRIVATE)')
  const isAddress = /^(\[.*\]|[\d.]+)$/.test(hostname)
  if (isLoopback(hostname) || (isAddress && !isPublicAddress(hostname.replace(/^\[|\]$/g, '')))) {
    throw new ConfigError('WEBHOOK_URL', 'has an address that is not public (or set WEBHOOK_ALLOW_PRIVATE)')
  }
}
