// Pieces of the report from the intermediate representation: filters, backends, conditions.
import type { RouteParentStatus } from '#control-plane/translate/service.ts';
import type { Backend, BackendRef, Endpoint, Filter } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { compileRedirect, compileRewrite } from '#sidecar/route/compile/http-filters.ts';
import type { ServicePortRef } from '#sidecar/route/records.ts';
import { changedPath, locationOf, type RequestPlace } from '#sidecar/route/redirect.ts';
import type { BackendReport, EditReport, Filters, MirrorReport, RouteVerdict } from './report.ts';

/** The ready endpoints of a backend; `assumed`: made up as if all manifests ran. */
export type EndpointsOf = (ref: Pick<BackendRef, 'namespace' | 'name' | 'port'>) => { endpoints: readonly Endpoint[]; assumed: boolean };

/** The request that filters are held against, and the port that it calls. */
export interface AskedPlace extends RequestPlace {
  readonly servicePort: number;
}

export const NO_FILTERS: Filters = { request: [], response: [], mirrors: [], redirect: null, rewrite: null, cors: null };

/** The Service itself, where no route is attached. */
export function defaultBackend(service: ServicePortRef, endpointsOf: EndpointsOf): BackendReport {
  const name = `${service.namespace}/${service.name}`;
  return {
    service: name,
    port: service.port,
    weight: 1,
    share: 1,
    invalid: '',
    filters: NO_FILTERS,
    ...reportEndpoints(service, endpointsOf),
  };
}

/** One backendRef of a rule. @param totalWeight of the rule's backends; 0: all have weight 0 */
export function reportBackend(backend: Backend, totalWeight: number, place: AskedPlace, endpointsOf: EndpointsOf): BackendReport {
  const ref = backend.ref ?? { namespace: '', name: '', port: 0 };
  return {
    service: `${ref.namespace}/${ref.name}`,
    port: ref.port,
    weight: backend.weight,
    share: totalWeight === 0 ? 0 : backend.weight / totalWeight,
    invalid: backend.invalid,
    filters: reportFilters(backend.filters, place),
    ...reportEndpoints(ref, endpointsOf),
  };
}

function reportEndpoints(
  ref: Pick<BackendRef, 'namespace' | 'name' | 'port'>,
  endpointsOf: EndpointsOf,
): Pick<BackendReport, 'endpoints' | 'assumed'> {
  const { endpoints, assumed } = endpointsOf(ref);
  return {
    assumed,
    endpoints: endpoints.map(({ address, port, pod, identity }) => ({ address: assumed ? null : `${address}:${port}`, pod, identity })),
  };
}

/** Filters in the order in which they run. */
export function reportFilters(filters: readonly Filter[], place: AskedPlace): Filters {
  const request: EditReport[] = [];
  const response: EditReport[] = [];
  const mirrors: MirrorReport[] = [];
  let cors: Filters['cors'] = null;
  for (const { kind } of filters) {
    if (kind.case === 'mirror') {
      const { backend, numerator, denominator, invalid } = kind.value;
      const fraction = denominator === 0 ? 0 : Math.min(1, numerator / denominator);
      mirrors.push({ service: `${backend?.namespace}/${backend?.name}`, port: backend?.port ?? 0, fraction, invalid });
    } else if (kind.case === 'requestHeaders' || kind.case === 'responseHeaders') {
      const { set, add, remove } = kind.value;
      const edits = kind.case === 'requestHeaders' ? request : response;
      edits.push(
        ...set.map(({ name, value }): EditReport => ({ op: 'set', name, value })),
        ...add.map(({ name, value }): EditReport => ({ op: 'add', name, value })),
        ...remove.map((name): EditReport => ({ op: 'remove', name, value: '' })),
      );
    } else if (kind.case === 'cors') {
      const { allowOrigins, allowMethods, allowCredentials } = kind.value;
      cors = { origins: allowOrigins, methods: allowMethods, credentials: allowCredentials };
    }
  }
  const redirect = compileRedirect(filters, null, '');
  const rewrite = compileRewrite(filters, '');
  return {
    request,
    response,
    mirrors,
    redirect: redirect && { status: redirect.status, location: locationOf(redirect, place, place.servicePort) },
    rewrite: rewrite && {
      ...(rewrite.hostname !== '' && { authority: rewrite.hostname }),
      ...(rewrite.path !== null && { path: changedPath(rewrite.path, place.path) }),
    },
    cors,
  };
}

/** The conditions of one route for one parentRef. */
export function reportStatus({ route, parentRef, conditions }: RouteParentStatus): RouteVerdict {
  return {
    route: `${route.kind} ${route.namespace}/${route.name}`,
    parentRef: { ...parentRef },
    conditions: conditions.map(({ type, status, reason, message }) => ({
      type: type ?? '',
      status: status ?? '',
      reason: reason ?? '',
      message: message ?? '',
      // Accepted and ResolvedRefs are good when True; PartiallyInvalid is there only when it is True, and bad.
      bad: type === 'PartiallyInvalid' ? status === 'True' : status !== 'True',
    })),
  };
}
