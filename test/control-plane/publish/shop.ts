// A small mesh for the tests of publishing: Services by hand, a clock by hand, sidecars that can be slow.
import { create } from '@bufbuild/protobuf';
import { type Progress, Publisher } from '#control-plane/publish/publisher.ts';
import type { Ending, Peer, Subscriber } from '#control-plane/publish/subscriber.ts';
import type { Translation } from '#control-plane/translate/service.ts';
import { AckSchema, HelloSchema, type Resource, type SubscribeResponse, TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  BackendSchema,
  ConsumerRoutesSchema,
  EndpointsSchema,
  MatchSchema,
  PodAddressSchema,
  RouteKind,
  RouteRefSchema,
  RouteTableSchema,
  RuleSchema,
  type Service,
  ServiceSchema,
  type Workload,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';

/** A clock that stands until it is moved. */
export class HandClock implements Timers {
  private nowMs = 1_000_000;
  private waiting: { atMs: number; then: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, then };
    this.waiting.push(timer);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== timer);
    };
  }

  /** Moves on; timers fire in their order, those that they set too. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const next = this.waiting.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.waiting = this.waiting.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.then();
    }
    this.nowMs = endMs;
  }
}

/**
 * `sends`: backends of its one rule as "name" or "name:weight"; none: no route. `consumer`: another rule for clients of
 * that namespace.
 */
export interface Spec {
  readonly sends?: readonly string[];
  readonly consumer?: { readonly namespace: string; readonly sends: readonly string[] };
  readonly endpoints?: readonly string[];
  /** ClusterIPs. Default: 10.0.0.1 for all. */
  readonly addresses?: readonly string[];
  readonly externalAddresses?: readonly string[];
  readonly nodePort?: number;
  readonly broken?: boolean;
  /** There is a verdict on a route. */
  readonly judged?: boolean;
}

function table(sends: readonly string[]) {
  const backends = sends.map((word) => {
    const [name, weight] = word.split(':');
    return create(BackendSchema, { ref: { namespace: 'shop', name, port: 80 }, weight: Number(weight ?? 1) });
  });
  const route = create(RouteRefSchema, { kind: 'GRPCRoute', namespace: 'shop', name: 'r' });
  const rules = [create(RuleSchema, { route, backends })];
  return create(RouteTableSchema, { kind: RouteKind.GRPC, rules, matches: [create(MatchSchema, { rule: 0 })] });
}

export function serviceOf(name: string, spec: Spec): Service {
  return create(ServiceSchema, {
    namespace: 'shop',
    name,
    addresses: [...(spec.addresses ?? ['10.0.0.1'])],
    externalAddresses: [...(spec.externalAddresses ?? [])],
    ports: [
      {
        port: 80,
        name: 'grpc',
        nodePort: spec.nodePort ?? 0,
        routes: spec.sends && table(spec.sends),
        consumers: spec.consumer
          ? [create(ConsumerRoutesSchema, { namespace: spec.consumer.namespace, routes: table(spec.consumer.sends) })]
          : [],
      },
    ],
  });
}

interface HelloParts {
  readonly services?: string[];
  readonly held?: { name: string; version: string }[];
  readonly addresses?: string[];
  readonly namespace?: string;
  /** It asks which Services are at an address. Default: no, as older sidecars. */
  readonly places?: boolean;
}

/** The publisher with Services that are set by hand: `shop.set('payment', {...})`, then `shop.clock.pass(1)`. */
export class Shop {
  readonly clock = new HandClock();
  readonly services = new Map<string, Spec>();
  readonly workloads = new Map<string, Workload>();
  /** IP address → identity. */
  readonly pods = new Map<string, string>();
  readonly publisher: Publisher;
  translations = 0;
  /** What each step of long work takes. Default: nothing, so that all is done at once. */
  stepMs = 0;
  private elapsedMs = 0;
  readonly progress: Progress[] = [];
  roots = 'root 1';

  constructor(log: Logger = silentLogger) {
    this.publisher = new Publisher({
      translate: (key) => this.translate(key),
      workloadOf: (peer) => this.workloads.get(`${peer.namespace}/${peer.pod}`),
      podAt: (address) => create(PodAddressSchema, { address, identity: this.pods.get(address) ?? '' }),
      trust: () => create(TrustBundleSchema, { trustDomain: 'test', roots: [Buffer.from(this.roots)] }),
      onProgress: (what) => this.progress.push(what),
      timers: this.clock,
      elapsedMs: () => (this.elapsedMs += this.stepMs),
      log,
    });
  }

  set(name: string, spec: Spec | null): void {
    if (spec === null) this.services.delete(name);
    else this.services.set(name, spec);
    this.publisher.servicesChanged([`shop/${name}`]);
  }

  workload(pod: string, name: string, serviceAccount = 'default'): void {
    this.workloads.set(`shop/${pod}`, create(WorkloadSchema, { namespace: 'shop', pod, name, serviceAccount }));
    this.publisher.workloadsChanged();
  }

  connect(pod: string, hello: HelloParts = {}): FakeSidecar {
    const { namespace = 'shop', services = [], held = [], addresses = [], places = false } = hello;
    const sidecar = new FakeSidecar();
    const peer: Peer = { namespace, serviceAccount: 'default', pod };
    const wanted = services.map((name) => `shop/${name}`);
    const message = create(HelloSchema, { namespace, pod, services: wanted, held, addresses, places });
    sidecar.subscriber = this.publisher.connect(peer, message, sidecar);
    return sidecar;
  }

  private translate(key: string): Translation {
    this.translations++;
    const name = key.slice('shop/'.length);
    const spec = this.services.get(name);
    if (spec?.broken) throw new Error(`cannot translate ${name}`);
    if (spec === undefined) return { statuses: [] };
    const endpoints = (spec.endpoints ?? ['10.1.0.1']).map((address) => ({ address, port: 8080 }));
    return {
      service: serviceOf(name, spec),
      endpoints: create(EndpointsSchema, { namespace: 'shop', name, ports: [{ port: 80, endpoints }] }),
      statuses: spec.judged
        ? [{ route: { kind: 'GRPCRoute', namespace: 'shop', name }, generation: 1, parentRef: {}, conditions: [] }]
        : [],
    };
  }
}

/** The other end: keeps every response, answers when a test asks for it. */
export class FakeSidecar {
  subscriber!: Subscriber;
  readonly responses: SubscribeResponse[] = [];
  readonly endings: Ending[] = [];
  readonly inForce = new Map<string, Resource>();
  private seen = 0;

  send(response: SubscribeResponse): void {
    this.responses.push(response);
  }

  end(ending: Ending): void {
    this.endings.push(ending);
    this.subscriber.detach();
  }

  /**
   * What came since the last look: names, `-name` for removals, `?key` for absent Services. In the order of the wire.
   */
  news(): string[] {
    const fresh = this.responses.slice(this.seen);
    this.seen = this.responses.length;
    return fresh.flatMap(({ resources, removed, absent }) => [
      ...resources.map(({ name }) => name),
      ...removed.map((name) => `-${name}`),
      ...absent.map((key) => `?${key}`),
    ]);
  }

  /** Answers the last response, all of it in force but the resources named here. */
  ack(rejected: Readonly<Record<string, string>> = {}): void {
    const response = this.responses.at(-1)!;
    for (const resource of response.resources) if (!Object.hasOwn(rejected, resource.name)) this.inForce.set(resource.name, resource);
    for (const name of response.removed) this.inForce.delete(name);
    const rejections = Object.entries(rejected).map(([name, reason]) => ({ name, reason }));
    this.subscriber.acknowledge(create(AckSchema, { nonce: response.nonce, rejected: rejections }));
  }

  want(...names: string[]): void {
    this.subscriber.want(names.map((name) => `shop/${name}`));
  }

  /** It sends to these places from now on, and no longer to those. */
  ask(addresses: string[], dropped: string[] = []): void {
    this.subscriber.wantAddresses(addresses, dropped);
  }

  held(): { name: string; version: string }[] {
    return [...this.inForce.values()].map(({ name, version }) => ({ name, version }));
  }
}
