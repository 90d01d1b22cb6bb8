import type { Fetch } from './remote-keys.ts'

/**
 * `fetch` by way of a proxy (CONNECT, so that it sees no more than the host's name). The package is loaded when it is first
 * wanted, as it takes 20 MB.
 * @param except hosts that are asked directly, as `NO_PROXY` names them
 */
export function throughProxy (httpsProxy: string, except = ''): Fetch {
  let loading: Promise<Fetch> | undefined
  const load = async (): Promise<Fetch> => {
    const { EnvHttpProxyAgent, fetch } = await import('undici')
    const dispatcher = new EnvHttpProxyAgent({ httpsProxy, httpProxy: '', noProxy: except })
    return async (url, init) => await fetch(url, { ...init, dispatcher } as object) as unknown as Response
  }
  return async (url, init) => await (await (loading ??= load()))(url, init)
}
