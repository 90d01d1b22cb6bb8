import type { Fetch } from './remote-keys.ts'

export interface ProxySettings { HTTPS_PROXY?: string | undefined, NO_PROXY?: string | undefined }

/**
 * `fetch` by way of a proxy (CONNECT, so that it sees no more than the host's name); undefined where none is configured. The
 * package is loaded when it is first wanted, as it takes 20 MB.
 * @param settings `NO_PROXY` names the hosts that are asked directly
 */
export function throughProxy ({ HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy = '' }: ProxySettings): Fetch | undefined {
  if (httpsProxy === undefined) return undefined
  let loading: Promise<Fetch> | undefined
  const load = async (): Promise<Fetch> => {
    const { EnvHttpProxyAgent, fetch } = await import('undici')
    const dispatcher = new EnvHttpProxyAgent({ httpsProxy, httpProxy: '', noProxy })
    return async (url, init) => await fetch(url, { ...init, dispatcher } as object) as unknown as Response
  }
  return async (url, init) => await (await (loading ??= load()))(url, init)
}
