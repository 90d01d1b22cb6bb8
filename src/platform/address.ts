import ipaddr from 'ipaddr.js'

/** All of IPv6 that is given out to be reached from everywhere. */
const GLOBAL = ipaddr.IPv6.parseCIDR('2000::/3')
/** Answers the machines of one cloud what is theirs alone, and looks like any other address. */
const AZURE_PLATFORM = '168.63.129.16'

/**
 * Can this be an address of the public Internet? Not: this host, its network, a private one, a carrier's, a cloud's metadata,
 * one that is reserved, or an IPv4 address in IPv6 clothes, whichever that is.
 */
export function isPublicAddress (address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  return parsed.kind() === 'ipv4' ? parsed.toString() !== AZURE_PLATFORM : parsed.match(GLOBAL)
}

/** An address as proxies write it, without the port that some add to it and the brackets of IPv6. */
export const withoutPort = (text: string): string => /^\[(.+)\](:\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text

/** Is an address, which may have a port, in one of these ranges? */
export function within (cidrs: readonly string[]): (address: string | undefined) => boolean {
  const ranges = cidrs.map(cidr => ipaddr.parseCIDR(cidr))
  return (text = '') => {
    const bare = withoutPort(text)
    if (!ipaddr.isValid(bare)) return false
    const address = ipaddr.process(bare)
    return ranges.some(([network, bits]) => address.kind() === network.kind() && address.match(network, bits))
  }
}

/** One source: an IPv4 address, or the /64 that one customer has of IPv6; what is no address is a source of its own. */
export function sourceOf (address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4'
    ? parsed.toString()
    : `${(parsed as ipaddr.IPv6).parts.slice(0, 4).map(part => part.toString(16)).join(':')}::/64`
}
