import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new directory that root's embedded PostgreSQL, which runs as another user, can enter; mkdtemp alone makes it 0700. */
export function temporaryDir (purpose: string): string {
  const dir = mkdtempSync(join(tmpdir(), `headless-mfa-${purpose}-`))
  chmodSync(dir, 0o755)
  return dir
}
