// The addresses of a Service beside its ClusterIPs, as kube-proxy serves them on every node (pure).
import { entriesOf, fieldsOf, textOf } from '#objects/fields.ts';
import type { Service } from '#objects/service.ts';
import { clusterIPsOf } from './ports.ts';

/**
 * Of each sort, of one Service. Every sidecar of the cluster holds them all, and anyone who may write a Service can
 * write as many as an object has room for.
 */
export const MOST_OTHER_ADDRESSES = 100;

/**
 * Addresses of the load balancer that nodes serve themselves; those of ipMode Proxy are reached by way of it alone
 * (KEP-1860).
 */
export function loadBalancerAddressesOf(service: Service): string[] {
  const ingress = entriesOf(fieldsOf(fieldsOf(service.status).loadBalancer).ingress).map((entry) => fieldsOf(entry));
  return othersOf(
    service,
    ingress.filter(({ ipMode }) => (ipMode ?? 'VIP') === 'VIP').map(({ ip }) => ip),
  );
}

/**
 * spec.loadBalancerSourceRanges, without the white space that Kubernetes takes off as well. What is no range is kept: it
 * lets nobody in. So do ranges that are too many.
 */
export function loadBalancerRangesOf(service: Service): string[] {
  if (loadBalancerAddressesOf(service).length === 0) return [];
  const ranges = entriesOf(fieldsOf(service.spec).loadBalancerSourceRanges);
  return ranges.slice(0, MOST_OTHER_ADDRESSES).map((range) => textOf(range)?.trim() ?? '');
}

/** spec.externalIPs. */
export function externalAddressesOf(service: Service): string[] {
  return othersOf(service, entriesOf(fieldsOf(service.spec).externalIPs));
}

/** kube-proxy leaves out Services without a ClusterIP. What is no address is left out, as is what is there already. */
function othersOf(service: Service, written: readonly unknown[]): string[] {
  const own = clusterIPsOf(service);
  if (own.length === 0) return [];
  const addresses = new Set(written.flatMap((address) => canonicalAddress(textOf(address) ?? '') ?? []));
  return [...addresses].filter((address) => !own.includes(address)).slice(0, MOST_OTHER_ADDRESSES);
}

/**
 * An IP address as connections show theirs: IPv4 dotted, IPv6 as RFC 5952 writes it. Kubernetes also takes longer
 * forms. Undefined: it is none.
 */
export function canonicalAddress(address: string): string | undefined {
  if (address.includes(':')) {
    // Neither a zone nor a host name with a port.
    if (!/^[0-9a-fA-F:.]+$/.test(address)) return undefined;
    const url = URL.parse(`http://[${address}]`);
    return url === null ? undefined : url.hostname.slice(1, -1);
  }
  // Octets with leading zeros are decimal to Kubernetes.
  const octets = /^\d+\.\d+\.\d+\.\d+$/.test(address) ? address.split('.').map(Number) : [];
  return octets.length === 4 && octets.every((octet) => octet <= 255) ? octets.join('.') : undefined;
}
