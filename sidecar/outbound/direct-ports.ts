// Ports of single pods that this workload sends to directly: their records, made at first use and gone when idle.
import type { PodAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { includesPort } from '#core/contract/port-ranges.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { Upstreams } from '../forward/upstreams.ts';
import { plainPort } from '../route/compile/compile.ts';
import type { ServicePortRef } from '../route/records.ts';
import { type AddressQuestions, PodAddresses } from './pod-addresses.ts';

/** What a connection to a meshed pod's port needs. */
export interface DirectPort {
  readonly ref: ServicePortRef;
  readonly handle: PortHandle;
  /** SPIFFE id. */
  readonly identity: string;
  /** The pod or a Service of it says that it carries octets. */
  readonly isOpaque: boolean;
}

/**
 * Counters are by namespace, because pods come and go: their names would be series without end.
 * @param namespace '': not known
 */
export function refOfAddress({ address, port }: { readonly address: string; readonly port: number }, namespace = ''): ServicePortRef {
  return { namespace, name: '(direct)', port, key: `${address}:${port}` };
}

export class DirectPorts {
  private readonly upstreams: Upstreams;
  private readonly pods: PodAddresses;
  /** By address, then port. */
  private readonly ports = new Map<string, Map<number, DirectPort>>();

  /** @param isServiceOnly see PodAddresses */
  constructor(upstreams: Upstreams, questions: AddressQuestions, isServiceOnly?: (address: string) => boolean) {
    this.upstreams = upstreams;
    this.pods = new PodAddresses(questions, (address) => this.forget(address), isServiceOnly);
  }

  /** Addresses that the control plane is asked about; a new stream begins with them. */
  addresses(): string[] {
    return this.pods.all();
  }

  take(answer: PodAddress): void {
    this.pods.take(answer);
  }

  /** @param answer of this address. @returns null: no sidecar is there, or it does not see this port */
  portAt(to: { readonly address: string; readonly port: number }, answer: PodAddress): DirectPort | null {
    return answer.identity === '' || includesPort(answer.bypassed, to.port) ? null : this.portOf(to.address, to.port, answer);
  }

  /** What the control plane says of an address, or a place of Services (core/contract/places.ts); see PodAddresses.ask(). */
  whoIs(address: string, nowMs: number, then: (answer: PodAddress) => void): () => void {
    return this.pods.ask(address, nowMs, then);
  }

  /** See PodAddresses.use(). */
  use(address: string, gone: () => void): (nowMs: number) => void {
    return this.pods.use(address, gone);
  }

  tick(nowMs: number): void {
    this.pods.tick(nowMs);
  }

  private portOf(address: string, port: number, { identity, pod, opaque }: PodAddress): DirectPort {
    let ports = this.ports.get(address);
    if (ports === undefined) this.ports.set(address, (ports = new Map()));
    let known = ports.get(port);
    if (known === undefined) {
      const ref = refOfAddress({ address, port }, pod.slice(0, Math.max(pod.indexOf('/'), 0)));
      known = { ref, handle: { current: plainPort(ref) }, identity, isOpaque: includesPort(opaque, port) };
      ports.set(port, known);
      this.upstreams.update(ref, [{ $typeName: 'weft.v1.Endpoint', address, port, identity, pod, zone: '' }]);
    }
    return known;
  }

  /** Another pod has the address now, or it is not used any more. Calls under way end by themselves. */
  private forget(address: string): void {
    for (const { ref } of this.ports.get(address)?.values() ?? []) this.upstreams.forget(ref);
    this.ports.delete(address);
  }
}
