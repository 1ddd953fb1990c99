// All Services as translated last, and the resources that follow from each in the eyes of a client namespace; only what
// changed is made anew.
import { isDeepStrictEqual } from 'node:util';
import type { Service } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/program/log.ts';
import { neededBy, placesOf, scopeService, serviceAddress } from '../scope.ts';
import type { RouteParentStatus, Translation } from '../translate/service.ts';
import { EndpointSteps } from './endpoint-steps.ts';
import { Places } from './places.ts';
import { addressResource, endpointsResource, type Sized, serviceResource } from './resources.ts';

interface Entry {
  readonly translation: Translation;
  /** Version of the Service before scope(); '' without one. */
  readonly version: string;
  readonly endpoints: Sized | null;
  readonly steps: EndpointSteps;
  /** Namespaces that have consumer routes; all others see the same, kept under ''. */
  readonly consumers: ReadonlySet<string>;
  readonly services: Map<string, Sized>;
  readonly addresses: Map<string, Sized>;
}

/** Why a Service is not up to date: a defect of ours. Its last good translation stays in force. */
export interface TranslationFailure {
  readonly key: string;
  readonly reason: string;
}

export class Catalogue {
  /** Counts the changes of verdicts on routes; most translations bring none, as endpoints come and go. */
  verdicts = 0;
  readonly places = new Places();
  private readonly translate: (key: string) => Translation;
  private readonly log: Logger;
  private readonly entries = new Map<string, Entry>();
  private readonly failed = new Map<string, string>();

  /** @param translate the pure function over the objects as they are when it is called */
  constructor(translate: (key: string) => Translation, log: Logger) {
    this.translate = translate;
    this.log = log;
  }

  /**
   * Translates one Service again.
   * @returns whether it may look different to a sidecar. Never throws: a defect blocks this Service only.
   */
  refresh(key: string): boolean {
    try {
      const changed = this.take(key, this.translate(key));
      this.failed.delete(key);
      return changed;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.failed.get(key) !== reason) {
        const stack = error instanceof Error ? error.stack : undefined;
        this.log.error('a Service cannot be translated: its last good version stays', { service: key, reason, stack });
      }
      this.failed.set(key, reason);
      return false;
    }
  }

  /** Keys of the Services that exist. */
  *keys(): Iterable<string> {
    for (const [key, { translation }] of this.entries) if (translation.service !== undefined) yield key;
  }

  exists(key: string): boolean {
    return this.entries.get(key)?.translation.service !== undefined;
  }

  /**
   * Of a Service with all its routes, as all namespaces see it: equal on all replicas where they know the same. '': there
   * is none.
   */
  version(key: string): string {
    return this.entries.get(key)?.version ?? '';
  }

  endpoints(key: string): Sized | null {
    return this.entries.get(key)?.endpoints ?? null;
  }

  /** What makes the endpoints out of this version of them; null: all of them are to be sent. */
  endpointsSince(key: string, version: string): Sized | null {
    return this.entries.get(key)?.steps.since(version) ?? null;
  }

  /** The rules that hold for clients of this namespace; null: there is no such Service. */
  service(key: string, namespace: string): Sized | null {
    const entry = this.entries.get(key);
    return entry?.translation.service === undefined ? null : scopedOf(key, entry, entry.translation.service, namespace);
  }

  /** Where it is, for clients of this namespace; null: there is no such Service. */
  address(key: string, namespace: string): Sized | null {
    const entry = this.entries.get(key);
    return entry?.translation.service === undefined ? null : addressOf(key, entry, entry.translation.service, namespace);
  }

  /** Of every parentRef to a Service, with the key of that Service and its version. */
  statuses(): { readonly parent: string; readonly version: string; readonly status: RouteParentStatus }[] {
    return [...this.entries].flatMap(([parent, { translation, version }]) =>
      translation.statuses.map((status) => ({ parent, version, status })),
    );
  }

  failures(): TranslationFailure[] {
    return [...this.failed].map(([key, reason]) => ({ key, reason }));
  }

  private take(key: string, translation: Translation): boolean {
    const before = this.entries.get(key);
    const { service, endpoints } = translation;
    if (!isDeepStrictEqual(before?.translation.statuses ?? [], translation.statuses)) this.verdicts++;
    const newest = endpoints === undefined ? null : endpointsResource(key, endpoints);
    const sameEndpoints = before?.endpoints?.resource.version === newest?.resource.version;
    const entry: Entry = {
      translation,
      version: service === undefined ? '' : serviceResource(key, service).resource.version,
      endpoints: newest,
      steps: before === undefined ? EndpointSteps.NONE : sameEndpoints ? before.steps : before.steps.next(before.endpoints, newest),
      consumers: new Set((service?.ports ?? []).flatMap((port) => port.consumers.map((group) => group.namespace))),
      services: new Map(),
      addresses: new Map(),
    };
    const sameService = before?.version === entry.version;
    if (sameService) for (const [view, scoped] of before.services) entry.services.set(view, scoped);
    if (sameService && sameEndpoints) for (const [view, address] of before.addresses) entry.addresses.set(view, address);
    // Made now for all, so that a defect shows here and not when some sidecar asks.
    if (service !== undefined)
      for (const view of ['', ...entry.consumers]) {
        scopedOf(key, entry, service, view);
        addressOf(key, entry, service, view);
      }
    this.places.put(key, service && placesOf(service, endpoints));
    if (service === undefined && translation.statuses.length === 0) this.entries.delete(key);
    else this.entries.set(key, entry);
    return before === undefined ? service !== undefined : !(sameService && sameEndpoints);
  }
}

function viewOf(entry: Entry, namespace: string): string {
  return entry.consumers.has(namespace) ? namespace : '';
}

function scopedOf(key: string, entry: Entry, service: Service, namespace: string): Sized {
  const view = viewOf(entry, namespace);
  let scoped = entry.services.get(view);
  if (scoped === undefined) {
    const forNamespace = scopeService(service, { namespace: view });
    entry.services.set(view, (scoped = serviceResource(key, forNamespace, neededBy(forNamespace))));
  }
  return scoped;
}

function addressOf(key: string, entry: Entry, service: Service, namespace: string): Sized {
  const view = viewOf(entry, namespace);
  let address = entry.addresses.get(view);
  if (address === undefined)
    entry.addresses.set(view, (address = addressResource(key, serviceAddress(service, entry.translation.endpoints, { namespace: view }))));
  return address;
}
