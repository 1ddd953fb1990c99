// Which Service port a backendRef or mirror means, or why it means none (BackendObjectReference).
import { create } from '@bufbuild/protobuf';
import { type BackendRef, BackendRefSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { didYouMean, nearest } from '#core/text/nearest.ts';
import { quote } from '#core/text/printable.ts';
import { entriesOf, fieldsOf, isAbsent, portOf, textOf } from '#objects/fields.ts';
import { type BackendObjectReference, backendServiceOf, GATEWAY_GROUP, isCoreGroup, keyOf, splitKey } from '#objects/references.ts';
import type { ObjectView } from '../../store/object-store.ts';
import { frontendOf, listPorts, meshPorts, otherTransport } from '../ports.ts';
import type { ReferenceFault } from './findings.ts';
import type { RouteContext } from './traits.ts';

export interface ResolvedReference {
  /** As far as it is known: a faulty one may name nothing, or port 0. */
  readonly ref: BackendRef;
  readonly fault: ReferenceFault | undefined;
}

/**
 * Resolves a reference. What it says wrong is a fault of that reference alone: its share of the calls fails, the
 * others' goes on.
 */
export function resolveReference(reference: BackendObjectReference | null | undefined, context: RouteContext): ResolvedReference {
  const { group, kind, namespace, name, port } = fieldsOf(reference);
  const number = portOf(port);
  const key = backendServiceOf(reference, context.routeNamespace);
  const [ns, service] = key === undefined ? [textOf(namespace) || context.routeNamespace, textOf(name) ?? ''] : splitKey(key);
  const ref = create(BackendRefSchema, { namespace: ns, name: service, port: number ?? 0 });
  if (key !== undefined) return { ref, fault: faultOf(key, port, context) };
  const named = isCoreGroup(group ?? '') ? quote(kind ?? 'Service') : `${quote(kind ?? 'Service')} of group ${quote(group)}`;
  const isService = isCoreGroup(group ?? '') && (kind ?? 'Service') === 'Service';
  if (isService) return { ref, fault: { reason: 'BackendNotFound', message: `the name must be that of a Service, not ${quote(name)}` } };
  const hint = typeof kind === 'string' && kind !== 'Service' && nearest(kind, ['Service']) ? ', did you mean "Service"?' : '';
  return { ref, fault: { reason: 'InvalidKind', message: `kind ${named} cannot be a backend, only Services can${hint}` } };
}

function faultOf(key: string, port: unknown, context: RouteContext): ReferenceFault | undefined {
  const [namespace, name] = splitKey(key);
  const { kind, speaks, foreignAppProtocols } = context.traits;
  // Before anything is said about the object: whether it exists is its namespace's secret then.
  if (!isPermitted(namespace, name, context)) {
    const message = `Service ${quote(key)} is in another namespace, where no ReferenceGrant allows ${kind}s of ${quote(context.routeNamespace)}`;
    return { reason: 'RefNotPermitted', message };
  }
  const service = context.objects.service(key);
  if (service === undefined) {
    return { reason: 'BackendNotFound', message: `there is no Service ${quote(key)}${suggestService(key, context.objects)}` };
  }
  if (frontendOf(service) === 'externalName') {
    // CVE-2021-25740: it would lend the mesh's identity to any address.
    return { reason: 'InvalidKind', message: `Service ${quote(key)} is of type ExternalName, which cannot be a backend` };
  }
  const ports = meshPorts(service);
  const number = portOf(port);
  if (number === undefined) {
    const given = isAbsent(port) ? 'a port must be given' : `the port must be a number from 1 to 65535, not ${quote(port)}`;
    return { reason: 'BackendNotFound', message: `${given}: Service ${quote(key)} has ${listPorts(ports)}` };
  }
  const found = ports.find((candidate) => candidate.port === number);
  if (found === undefined) {
    const transport = otherTransport(service, number);
    return transport === undefined
      ? { reason: 'BackendNotFound', message: `Service ${quote(key)} has no port ${number}: it has ${listPorts(ports)}` }
      : { reason: 'UnsupportedProtocol', message: `port ${number} of Service ${quote(key)} is ${quote(transport)}: ${speaks} needs TCP` };
  }
  if (foreignAppProtocols.has(found.appProtocol.toLowerCase())) {
    const message = `port ${number} of Service ${quote(key)} has appProtocol ${quote(found.appProtocol)}, which is not for ${speaks} without TLS`;
    return { reason: 'UnsupportedProtocol', message };
  }
  return undefined;
}

function isPermitted(namespace: string, name: string, context: RouteContext): boolean {
  const { traits, objects, routeNamespace, parentNamespace, strictReferenceGrants } = context;
  if (!strictReferenceGrants || namespace === routeNamespace || namespace === parentNamespace) return true;
  return isGranted(objects, { group: GATEWAY_GROUP, kind: traits.kind, namespace: routeNamespace }, namespace, name);
}

/** Whether a ReferenceGrant lets objects of a kind in another namespace refer to a Service. */
export function isGranted(
  objects: ObjectView,
  by: { readonly group: string; readonly kind: string; readonly namespace: string },
  namespace: string,
  name: string,
): boolean {
  return objects.grantsIn(namespace).some((grant) => {
    const { from, to } = fieldsOf(grant.spec);
    const comes = entriesOf(from).some((entry) => {
      const { group, kind, namespace: source } = fieldsOf(entry);
      return group === by.group && kind === by.kind && source === by.namespace;
    });
    const goes = entriesOf(to).some((entry) => {
      const { group, kind, name: target } = fieldsOf(entry);
      return isCoreGroup(group) && kind === 'Service' && (isAbsent(target) || target === '' || target === name);
    });
    return comes && goes;
  });
}

/** ", did you mean …?": the same name in another namespace, or a near name in this one. */
export function suggestService(key: string, objects: ObjectView): string {
  const [namespace, name] = splitKey(key);
  const near = didYouMean(name, objects.serviceNamesIn(namespace));
  if (near !== '') return near;
  const elsewhere = [...objects.namespacesOfService(name)].filter((other) => other !== namespace).sort();
  return elsewhere.length === 0 ? '' : `, did you mean ${quote(keyOf(elsewhere[0], name))}?`;
}
