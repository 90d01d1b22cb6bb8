/** What happens to connections, for the log and the metrics. */
export interface ConnectionEvent {
  /**
   * Once: `broken`, one broke while it was idle; `moved`, the URL leads to another server, and `read_only`, the server had refused a
   * write and takes writes again: all connections begin anew. And what lasts, when it begins and when it is over: `unreachable`, there is
   * no new connection; `no_writes`, the server takes none; `unbounded`, it ends no statement by itself, behind a pooler that passes no
   * limit on.
   */
  kind: 'broken' | 'moved' | 'read_only' | 'unreachable' | 'no_writes' | 'unbounded'
  isOver?: true
  error?: Error
}

/** Tells of each once: what lasts, when it begins and when it is over. */
export class ConnectionNews {
  readonly #lasting = new Set<ConnectionEvent['kind']>()

  constructor (readonly tell: (event: ConnectionEvent) => void) {}

  /** @param isSo as it was just found */
  lasts (kind: ConnectionEvent['kind'], isSo: boolean, error?: Error): void {
    if (isSo === this.#lasting.has(kind)) return
    this.#lasting[isSo ? 'add' : 'delete'](kind)
    this.tell({ kind, ...(!isSo && { isOver: true }), ...(error !== undefined && { error }) })
  }
}
