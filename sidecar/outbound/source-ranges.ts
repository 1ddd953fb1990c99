// Which clients a load balancer's address is for (pure): Service, spec.loadBalancerSourceRanges, as kube-proxy reads it.
import { addressOctets } from '#core/contract/address-octets.ts';

/**
 * Ranges of another family than the address have no part in it; where that leaves none, all clients may use it.
 * @param to IPv4 dotted, or IPv6 as RFC 5952 writes it
 * @param clients addresses of one client; that of the same family counts
 * @param ranges CIDRs; what is none lets nobody in
 */
export function mayUse(to: string, clients: readonly string[], ranges: readonly string[]): boolean {
  const isV6 = to.includes(':');
  const relevant = ranges.filter((range) => range.includes(':') === isV6);
  if (relevant.length === 0) return true;
  const own = clients.filter((client) => client.includes(':') === isV6);
  return relevant.some((range) => own.some((client) => isIn(client, range)));
}

function isIn(address: string, range: string): boolean {
  const [base, length, ...rest] = range.split('/');
  if (length === undefined || rest.length > 0 || !/^\d{1,3}$/.test(length)) return false;
  const [a, b] = [bitsOf(address), bitsOf(base)];
  const prefix = Number(length);
  return a !== null && b !== null && a.length === b.length && prefix <= a.length && a.slice(0, prefix) === b.slice(0, prefix);
}

/** 32 or 128 binary digits; null: it is no address. */
function bitsOf(address: string): string | null {
  const octets = addressOctets(address);
  return octets && Array.from(octets, (octet) => octet.toString(2).padStart(8, '0')).join('');
}
