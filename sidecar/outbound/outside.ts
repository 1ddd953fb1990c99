// Which addresses no pod can have (pure). A sidecar does not know the pods' network, but its own address is of it.

/**
 * Whether an address is surely outside the mesh: it is globally reachable (IANA's special-purpose address registries,
 * RFC 6890), and the pods' network is not, by our own addresses of the same family.
 * @param address IPv4 dotted, or IPv6 as RFC 5952 writes it
 * @param podIps of our own pod
 */
export function isOutside(address: string, podIps: readonly string[]): boolean {
  if (!isGlobal(address)) return false;
  const own = podIps.filter((ip) => isIpv6(ip) === isIpv6(address));
  return own.length > 0 && !own.some(isGlobal);
}

function isIpv6(address: string): boolean {
  return address.includes(':');
}

function isGlobal(address: string): boolean {
  return isIpv6(address) ? isGlobalIpv6(address) : isGlobalIpv4(address);
}

function isGlobalIpv4(address: string): boolean {
  const [a, b, c] = address.split('.').map(Number);
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if (a === 100) return b < 64 || b > 127;
  if (a === 169) return b !== 254;
  if (a === 172) return b < 16 || b > 31;
  if (a === 192) return b !== 168 && !(b === 0 && (c === 0 || c === 2));
  if (a === 198) return b !== 18 && b !== 19 && !(b === 51 && c === 100);
  return !(a === 203 && b === 0 && c === 113);
}

/** Global unicast is 2000::/3 (RFC 4291 §2.4); 2001:db8::/32 is for documentation, 2001::/23 for protocols. */
function isGlobalIpv6(address: string): boolean {
  const [first, second] = address.split(':').map((group) => Number.parseInt(group || '0', 16));
  if (first < 0x2000 || first > 0x3fff) return false;
  return first !== 0x2001 || (second >= 0x200 && second !== 0xdb8);
}
