import type { Page } from 'playwright-core'

/** Debian's Chromium, quiet: without what it asks of the network by itself, and as root, too. */
export const BROWSER = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync'
  ]
}

/** What keeps passkeys, as Chromium simulates it: for one page, in each document of it. */
export interface Device {
  /** The ids of what it keeps. */
  credentials: () => Promise<string[]>
  /** Does its user show a finger, a face or a PIN? */
  setVerified: (isUserVerified: boolean) => Promise<void>
  /** Does its user touch it when it asks? */
  setPresent: (enabled: boolean) => Promise<void>
}

export async function addDevice (
  page: Page,
  { transport = 'internal', isSynced = false }: { transport?: 'internal' | 'usb', isSynced?: boolean } = {}
): Promise<Device> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable', { enableUI: false })
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport,
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
      defaultBackupEligibility: isSynced,
      defaultBackupState: isSynced
    }
  })
  return {
    credentials: async () =>
      (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials.map(({ credentialId }) =>
        Buffer.from(credentialId, 'base64').toString('base64url')),
    setVerified: async isUserVerified => { await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }) },
    setPresent: async enabled => { await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }) }
  }
}
