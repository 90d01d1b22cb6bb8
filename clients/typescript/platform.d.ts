// What every platform of this client has, and no more: the build knows no other globals. Not published: there the
// platform's own types say the same.

interface AbortSignal { readonly aborted: boolean }

interface Response {
  readonly ok: boolean
  readonly status: number
  readonly headers: { get (name: string): string | null }
  json (): Promise<any>
  text (): Promise<string>
}

declare function fetch (
  url: string,
  init?: { method?: string, headers?: Record<string, string>, body?: string, signal?: AbortSignal }
): Promise<Response>
declare function setTimeout (action: () => void, milliseconds: number): number
declare function clearTimeout (timer: number | undefined): void
