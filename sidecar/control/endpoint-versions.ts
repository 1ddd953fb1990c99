// The endpoints that are in force here, as the control plane sent them: what a delta is applied to.
import { create } from '@bufbuild/protobuf';
import { compareEndpoints, endpointPlace } from '#core/contract/endpoint-order.ts';
import { type Rejection, RejectionSchema, type Resource, ResourceSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  type Endpoint,
  type EndpointPort,
  type EndpointPortDelta,
  EndpointPortSchema,
  type Endpoints,
  type EndpointsDelta,
  EndpointsSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';

interface InForce {
  readonly version: string;
  readonly endpoints: Endpoints;
}

export class EndpointVersions {
  private readonly inForce = new Map<string, InForce>();

  /**
   * Puts whole endpoints in the place of deltas.
   * @returns the resources to apply, and those deltas that change another version than the one that is here
   */
  complete(resources: readonly Resource[]): { readonly whole: Resource[]; readonly refused: Rejection[] } {
    const whole: Resource[] = [];
    const refused: Rejection[] = [];
    for (const resource of resources) {
      const { name, version, body } = resource;
      if (body.case !== 'endpointsDelta') {
        whole.push(resource);
        continue;
      }
      const base = this.inForce.get(name);
      if (base === undefined || base.version !== body.value.base) {
        const reason = `it changes version ${body.value.base}, here is ${base?.version ?? 'none'}`;
        refused.push(create(RejectionSchema, { name, version, reason }));
      } else {
        whole.push(create(ResourceSchema, { name, version, body: { case: 'endpoints', value: applyDelta(base.endpoints, body.value) } }));
      }
    }
    return { whole, refused };
  }

  /** Notes what was applied. @param refused names of those of which the last version stays */
  note(whole: readonly Resource[], removed: readonly string[], refused: ReadonlySet<string>): void {
    for (const { name, version, body } of whole)
      if (body.case === 'endpoints' && !refused.has(name)) this.inForce.set(name, { version, endpoints: body.value });
    for (const name of removed) this.inForce.delete(name);
  }
}

function applyDelta(endpoints: Endpoints, { ports }: EndpointsDelta): Endpoints {
  const byPort = new Map(ports.map((delta) => [delta.port, delta]));
  const changed = (port: EndpointPort): EndpointPort => {
    const delta = byPort.get(port.port);
    return delta === undefined ? port : create(EndpointPortSchema, { ...port, endpoints: applyPortDelta(port.endpoints, delta) });
  };
  return create(EndpointsSchema, { ...endpoints, ports: endpoints.ports.map(changed) });
}

/** @param endpoints sorted by address, then port, as what is returned */
function applyPortDelta(endpoints: readonly Endpoint[], { changed, removed }: EndpointPortDelta): Endpoint[] {
  const gone = new Set([...changed, ...removed].map(endpointPlace));
  return [...endpoints.filter((endpoint) => !gone.has(endpointPlace(endpoint))), ...changed].sort(compareEndpoints);
}
