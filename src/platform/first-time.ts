/** True when something is named for the first time, of as many as are kept: for what is told once, as a mistake of the configuration. */
export function firstTime (most = Infinity): (what: string) => boolean {
  const known = new Set<string>()
  return what => {
    if (known.size >= most || known.has(what)) return false
    known.add(what)
    return true
  }
}
