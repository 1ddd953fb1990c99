// Which loopback address is whose. One run owns 127.X.0.0/16; the third number is the pod, so an address in a log names
// its pod at once.
//   127.X.0.1      the control plane          127.X.<pod>.1    the pod's sidecar, inbound: what other sidecars dial
//   127.X.255.<s>  cluster IP of a Service    127.X.<pod>.2    the pod's containers
//                                             127.X.<pod>.<s>  the pod's sidecar, outbound: stands for Service s

export const FIRST_POD = 1;
export const LAST_POD = 250;
export const FIRST_SERVICE = 3;
export const LAST_SERVICE = 254;
const CLUSTER_IP_BLOCK = 255;

/** @param prefix the run's first two numbers, e.g. "127.77" */
export const controlPlaneAddress = (prefix: string): string => `${prefix}.0.1`;
export const inboundAddress = (prefix: string, pod: number): string => `${prefix}.${pod}.1`;
export const appAddress = (prefix: string, pod: number): string => `${prefix}.${pod}.2`;
export const outboundAddress = (prefix: string, pod: number, service: number): string => `${prefix}.${pod}.${service}`;
export const clusterAddress = (prefix: string, service: number): string => `${prefix}.${CLUSTER_IP_BLOCK}.${service}`;

/** Numbers by key ("ns/name"). A key keeps its number as long as it is wanted, so that nothing moves while it runs. */
export type Slots = ReadonlyMap<string, number>;

/**
 * Keeps the numbers of `previous` and gives the lowest free ones to new keys. A number that `previous` holds for a key
 * that is no longer wanted is not given away in the same step: its processes may still be stopping. `keep` names such
 * keys that stay for longer.
 * @returns the new numbers, and the keys for which none was left
 */
export function assignSlots(
  previous: Slots,
  wanted: readonly string[],
  range: { first: number; last: number },
  keep: ReadonlySet<string> = new Set(),
): { slots: Map<string, number>; left: string[] } {
  const taken = new Set(previous.values());
  const slots = new Map<string, number>();
  const left: string[] = [];
  for (const key of keep) if (previous.has(key)) slots.set(key, previous.get(key)!);
  let next = range.first;
  for (const key of wanted) {
    const held = previous.get(key);
    if (held !== undefined) {
      slots.set(key, held);
      continue;
    }
    while (taken.has(next)) next++;
    if (next > range.last) {
      left.push(key);
      continue;
    }
    taken.add(next);
    slots.set(key, next);
  }
  return { slots, left };
}
