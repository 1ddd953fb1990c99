// The network a test cluster lives in: a namespace of its own, one link to the host, an address range no other clone
// uses.
import { createHash } from 'node:crypto';
import os from 'node:os';
import { exec, must } from './exec.ts';

/** Same in each cluster: nothing outside its namespace has a route to them. */
export const POD_RANGE = '10.244.0.0/16';
export const NODE_POD_RANGE = '10.244.0.0/24';
export const SERVICE_RANGE = '10.96.0.0/16';
export const KUBERNETES_SERVICE_ADDRESS = '10.96.0.1';
export const DNS_SERVICE_ADDRESS = '10.96.0.10';

/** Ranges 10.77.1 to 10.77.250. */
const RANGES = 250;

export interface ClusterNetwork {
  /** Name of the namespace, and of the host's end of the link (at most 15 characters). */
  readonly name: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
}

/** Reaches into the namespace. Not `ip netns exec`: that remounts /sys and hides the cgroups. */
export function inNetwork(network: Pick<ClusterNetwork, 'name'>, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${network.name}`, ...argv];
}

/**
 * Name of the network of the cluster whose state is in `directory`: the same for each run, another for another clone.
 */
export function networkName(directory: string): string {
  return `weft-${createHash('sha256').update(directory).digest('hex').slice(0, 8)}`;
}

/**
 * The address range: by the directory, the next free one if another link of this host has it. `taken`: the host's IPv4
 * addresses.
 */
export function planNetwork(directory: string, taken: readonly string[]): ClusterNetwork {
  const digest = createHash('sha256').update(directory).digest();
  const wish = digest.readUInt32BE(4) % RANGES;
  for (let i = 0; i < RANGES; i++) {
    const range = `10.77.${1 + ((wish + i) % RANGES)}`;
    if (!taken.some((address) => address.startsWith(`${range}.`))) {
      return { name: networkName(directory), hostAddress: `${range}.1`, nodeAddress: `${range}.2` };
    }
  }
  throw new Error(`all ranges 10.77.1.0/24 to 10.77.${RANGES}.0/24 are taken by links of this host`);
}

/** Makes the namespace with its link. @throws Error when `ip` fails */
export async function createNetwork(directory: string): Promise<ClusterNetwork> {
  const taken = Object.values(os.networkInterfaces()).flatMap((link) => (link ?? []).map(({ address }) => address));
  const network = planNetwork(directory, taken);
  const { name, hostAddress, nodeAddress } = network;
  await must('ip', ['netns', 'add', name]);
  await must('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
  await must('ip', ['addr', 'add', `${hostAddress}/24`, 'dev', name]);
  await must('ip', ['link', 'set', name, 'up']);
  await must('ip', ['-n', name, 'addr', 'add', `${nodeAddress}/24`, 'dev', 'eth0']);
  await must('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
  await must('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  // Kubelet and CNI want a default route.
  await must('ip', ['-n', name, 'route', 'add', 'default', 'via', hostAddress]);
  const [program, ...args] = inNetwork(network, [process.execPath, '-e', "fs.writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')"]);
  await must(program, args);
  return network;
}

/** Takes link and namespace away; one that is not there is fine. */
export async function removeNetwork(name: string): Promise<void> {
  await exec('ip', ['link', 'del', name]);
  await exec('ip', ['netns', 'del', name]);
}
