/**
 * Does the server say (SQLSTATE) that nothing of a statement happened? Not where the connection is lost (class 08) or ended by the
 * server (57P), which may be after the commit; nor where the server is about to fall over, as of a full disk or a broken one: of what
 * was written by then the next start finds what it finds. How bad it is is said in the server's language; only ours is understood.
 */
export function isTakenBack ({ code = '', severity }: Error & { code?: string, severity?: string }): boolean {
  if (severity !== 'ERROR' && /^(53|58|XX)/.test(code)) return false
  return /^(?!08|57P|40003)(?=.*\d)[0-9A-Z]{5}$/.test(code)
}
