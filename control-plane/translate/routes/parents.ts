// Which ports of a Service a parentRef attaches a route to, or why none (GEP-1294).
import { didYouMean } from '#core/text/nearest.ts';
import { quote } from '#core/text/printable.ts';
import { entriesOf, fieldsOf, isAbsent, portOf } from '#objects/fields.ts';
import { type ParentReference, parentServiceOf } from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import type { Service } from '#objects/service.ts';
import type { ObjectView } from '../../store/object-store.ts';
import { frontendOf, listPorts, type MeshPort, otherTransport } from '../ports.ts';
import { suggestService } from './backends.ts';
import { MOST_PARENT_REFS } from './limits.ts';
import type { RouteTraits } from './traits.ts';

/** The ports that a route holds on, and those on which one of another kind does; or why it is attached to none. */
export type Attachment =
  | { readonly ports: readonly MeshPort[]; readonly lost: readonly { readonly port: MeshPort; readonly to: string }[] }
  | { readonly fault: string };

/** A parentRef as it is, and as it is given back in the status. */
export interface ParentEntry {
  readonly ref: ParentReference;
  readonly written: ParentReference;
}

/**
 * The parentRefs of a route to a Service, equivalent ones once: the key is group, kind, namespace, name, sectionName
 * and port after defaulting.
 */
export function parentRefsTo(key: string, route: Route, routeNamespace: string): ParentEntry[] {
  const found = new Map<string, ParentEntry>();
  for (const ref of entriesOf(fieldsOf(route.spec).parentRefs).slice(0, MOST_PARENT_REFS)) {
    if (parentServiceOf(ref, routeNamespace) !== key) continue;
    const { sectionName, port } = ref;
    const identity = `${quote(sectionName === '' ? undefined : sectionName)} ${quote(port)}`;
    if (!found.has(identity)) found.set(identity, { ref, written: asWritten(ref) });
  }
  return [...found.values()];
}

/**
 * Status entries repeat the parentRef as the spec has it: what the author left out stays out, "core" stays "core"
 * (RouteParentStatus.parentRef).
 */
function asWritten(ref: ParentReference): ParentReference {
  const copy: Record<string, unknown> = {};
  for (const field of ['group', 'kind', 'namespace', 'name', 'sectionName', 'port'] as const) {
    if (typeof ref[field] === 'string' || typeof ref[field] === 'number') copy[field] = ref[field];
  }
  return copy;
}

/**
 * The ports that a parentRef means. A sectionName is the name of a port; with a port as well, both must mean the same
 * one. Without either it means every port that such a route can be on: those declared to carry other bytes (`tcp`,
 * `https`, `mysql`, …) are left as they are.
 */
export function attach(
  ref: ParentReference,
  key: string,
  service: Service | undefined,
  ports: readonly MeshPort[],
  objects: ObjectView,
  traits: RouteTraits,
): Attachment {
  if (service === undefined) return { fault: `there is no Service ${quote(key)}${suggestService(key, objects)}` };
  const frontend = frontendOf(service);
  if (frontend === 'headless')
    return { fault: `Service ${quote(key)} is headless: it has no address of its own that calls could be routed by` };
  if (frontend === 'externalName') return { fault: `Service ${quote(key)} is of type ExternalName: it has no address of its own` };
  const { port, sectionName } = ref;
  const byNumber = isAbsent(port) ? ports : ports.filter((candidate) => candidate.port === port);
  if (byNumber.length === 0) return { fault: whyNoPort(port, key, service, ports, traits) };
  const named = isAbsent(sectionName) || sectionName === '' ? undefined : sectionName;
  const found = named === undefined ? byNumber : byNumber.filter(({ name }) => name === named);
  if (found.length === 0) return { fault: whyNoSection(named, port, key, service, ports, traits) };
  const fit = found.filter(({ protocol }) => traits.canBeOn(protocol));
  if (fit.length > 0) return { ports: fit, lost: [] };
  const opaque = found.find(({ opaqueBy }) => opaqueBy !== undefined);
  if (opaque !== undefined)
    return {
      fault: `port ${opaque.port} of Service ${quote(key)} is opaque: annotation weft.dev/opaque-ports of pod ${quote(opaque.opaqueBy)} says so, and routes do not hold for octets`,
    };
  return {
    fault: `${listPorts(found)} of Service ${quote(key)} ${found.length === 1 ? 'is' : 'are'} declared to carry no ${traits.over}: appProtocol or the port's name says so`,
  };
}

function whyNoPort(port: unknown, key: string, service: Service, ports: readonly MeshPort[], { speaks }: RouteTraits): string {
  const number = portOf(port);
  if (isAbsent(port)) return `Service ${quote(key)} has no TCP port`;
  if (number === undefined) return `the port must be a number from 1 to 65535, not ${quote(port)}`;
  const transport = otherTransport(service, number);
  if (transport !== undefined) return `port ${number} of Service ${quote(key)} is ${quote(transport)}: ${speaks} needs TCP`;
  return `Service ${quote(key)} has no port ${number}: it has ${listPorts(ports)}`;
}

function whyNoSection(
  sectionName: unknown,
  port: unknown,
  key: string,
  service: Service,
  ports: readonly MeshPort[],
  { speaks }: RouteTraits,
): string {
  const there = ports.some(({ name }) => name === sectionName);
  if (there) return `port ${quote(port)} of Service ${quote(key)} is not the one named ${quote(sectionName)}: it has ${listPorts(ports)}`;
  const transport = typeof sectionName === 'string' ? otherTransport(service, sectionName) : undefined;
  if (transport !== undefined) return `port ${quote(sectionName)} of Service ${quote(key)} is ${quote(transport)}: ${speaks} needs TCP`;
  const names = ports.map(({ name }) => name).filter((name) => name !== '');
  const hint = typeof sectionName === 'string' ? didYouMean(sectionName, names) : '';
  return `Service ${quote(key)} has no port named ${quote(sectionName)}${hint || `: it has ${listPorts(ports)}`}`;
}
