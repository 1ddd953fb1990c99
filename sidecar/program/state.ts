// What is in force in this sidecar: resources from the control plane, compiled, and where forwarding finds them.
// Each resource is taken or refused alone; a refused one leaves the last good in place.

import type { Resource } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { Endpoints, PodAddress, Service, Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { Upstreams } from '../forward/upstreams.ts';
import { AddressIndex } from '../outbound/address-index.ts';
import { newServicePortRef } from '../outbound/outbound.ts';
import { compileService } from '../route/compile/compile.ts';
import type { ServicePortRef } from '../route/records.ts';

/** A resource that cannot be used, for the ACK. */
export interface Refusal {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
}

export interface StateListener {
  /** The pod's own configuration is new: listeners, mTLS mode. */
  workload(workload: Workload): void;
  /** Who is at an address that was asked about. */
  pod(answer: PodAddress): void;
}

export class MeshState {
  workload: Workload | null = null;
  /** Which address is which Service's. */
  readonly addresses = new AddressIndex();
  private readonly handles = new Map<string, PortHandle>();
  private readonly services = new Map<string, Service>();
  private readonly endpoints = new Map<string, Endpoints>();
  private readonly upstreams: Upstreams;
  private readonly listener: StateListener;
  private readonly seed: number;

  /** @param seed in [0, 1), different in each sidecar: where its weighted sequences start */
  constructor(upstreams: Upstreams, listener: StateListener, seed: number) {
    this.upstreams = upstreams;
    this.listener = listener;
    this.seed = seed;
  }

  /** Where the configuration of a Service port stands; the handle is the same for ever. */
  port(ref: ServicePortRef): PortHandle {
    let handle = this.handles.get(ref.key);
    if (handle === undefined) this.handles.set(ref.key, (handle = { current: null }));
    return handle;
  }

  has(service: string): boolean {
    return this.services.has(service);
  }

  /** Takes new versions and removals. Endpoints first, so that a route never points to a backend whose endpoints are still to come. */
  apply(resources: readonly Resource[], removed: readonly string[]): Refusal[] {
    const refusals: Refusal[] = [];
    const order = { endpoints: 0, address: 1, service: 2, workload: 3, pod: 4, trust: 5 } as const;
    const rank = (resource: Resource): number => (resource.body.case === undefined ? 9 : order[resource.body.case]);
    for (const resource of [...resources].sort((a, b) => rank(a) - rank(b))) {
      try {
        this.take(resource);
      } catch (error) {
        refusals.push({ name: resource.name, version: resource.version, reason: (error as Error).message });
      }
    }
    for (const name of removed) this.remove(name);
    return refusals;
  }

  /** All that is in force, for the admin's configuration dump. */
  dump(): { workload: Workload | null; services: Service[]; endpoints: Endpoints[]; addresses: object } {
    return {
      workload: this.workload,
      services: [...this.services.values()],
      endpoints: [...this.endpoints.values()],
      addresses: this.addresses.dump(),
    };
  }

  private take(resource: Resource): void {
    const { body } = resource;
    if (body.case === 'service') this.takeService(body.value);
    else if (body.case === 'endpoints') this.takeEndpoints(body.value);
    else if (body.case === 'address') this.addresses.take(body.value);
    else if (body.case === 'pod') this.listener.pod(body.value);
    else if (body.case === 'workload') {
      this.workload = body.value;
      this.listener.workload(body.value);
    } // trust is for the credentials; an unknown kind is of a newer control plane
  }

  private takeService(service: Service): void {
    const compiled = compileService(service, this.seed);
    const name = `${service.namespace}/${service.name}`;
    const before = this.services.get(name);
    this.services.set(name, service);
    for (const [port, record] of compiled) this.port(newServicePortRef(service.namespace, service.name, port)).current = record;
    for (const { port } of before?.ports ?? []) {
      if (!compiled.has(port)) this.port(newServicePortRef(service.namespace, service.name, port)).current = null;
    }
  }

  private takeEndpoints(endpoints: Endpoints): void {
    const name = `${endpoints.namespace}/${endpoints.name}`;
    const before = this.endpoints.get(name);
    this.endpoints.set(name, endpoints);
    for (const port of endpoints.ports)
      this.upstreams.update(newServicePortRef(endpoints.namespace, endpoints.name, port.port), port.endpoints);
    for (const { port } of before?.ports ?? []) {
      if (!endpoints.ports.some((after) => after.port === port))
        this.upstreams.update(newServicePortRef(endpoints.namespace, endpoints.name, port), []);
    }
  }

  private remove(resourceName: string): void {
    const slash = resourceName.indexOf('/');
    const kind = resourceName.slice(0, slash);
    const name = resourceName.slice(slash + 1);
    if (kind === 'service') {
      const service = this.services.get(name);
      this.services.delete(name);
      for (const { port } of service?.ports ?? []) this.port(newServicePortRef(service!.namespace, service!.name, port)).current = null;
    } else if (kind === 'endpoints') {
      const endpoints = this.endpoints.get(name);
      this.endpoints.delete(name);
      for (const { port } of endpoints?.ports ?? [])
        this.upstreams.update(newServicePortRef(endpoints!.namespace, endpoints!.name, port), []);
    } else if (kind === 'address') {
      this.addresses.remove(name);
    }
  }
}
