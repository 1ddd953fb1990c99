// How the endpoints of a Service have changed of late, so that a sidecar which has one of the last versions gets only
// the difference. Pure but for what it keeps.
import { create, equals } from '@bufbuild/protobuf';
import { endpointPlace } from '#core/contract/endpoint-order.ts';
import {
  type Endpoint,
  EndpointKeySchema,
  type EndpointPort,
  EndpointPortDeltaSchema,
  EndpointPortSchema,
  EndpointSchema,
  type Endpoints,
  EndpointsDeltaSchema,
  EndpointsSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { endpointsDeltaResource, type Sized } from './resources.ts';

/** Versions that a sidecar may be behind; one that is further behind gets all endpoints. */
const MOST_STEPS = 16;

/** Service port → "<address> <port>" → the endpoint as it is now; null: it is gone. */
type Changes = Map<number, Map<string, Endpoint | null>>;

interface Step {
  /** The version that it changes. */
  readonly base: string;
  readonly changes: Changes;
}

export class EndpointSteps {
  static readonly NONE = new EndpointSteps([], null);
  private readonly steps: readonly Step[];
  private readonly newest: Sized | null;
  private readonly made = new Map<string, Sized | null>();

  private constructor(steps: readonly Step[], newest: Sized | null) {
    this.steps = steps;
    this.newest = newest;
  }

  /** With one step more: from one version to the next; null: there are or were no endpoints. */
  next(before: Sized | null, after: Sized | null): EndpointSteps {
    const changes = before === null || after === null ? null : changesOf(endpointsOf(before), endpointsOf(after));
    if (changes === null) return new EndpointSteps([], after);
    const step = { base: before!.resource.version, changes };
    return new EndpointSteps([...this.steps, step].slice(-MOST_STEPS), after);
  }

  /** What makes the newest version out of this one; null: send all, which is shorter or the only way. */
  since(version: string): Sized | null {
    const first = this.steps.findIndex(({ base }) => base === version);
    // What a sidecar says it has is kept nowhere: it may say anything.
    if (first === -1 || this.newest === null) return null;
    let delta = this.made.get(version);
    if (delta === undefined) this.made.set(version, (delta = this.make(version, first, this.newest)));
    return delta;
  }

  private make(version: string, first: number, newest: Sized): Sized | null {
    const changes: Changes = new Map();
    for (const step of this.steps.slice(first))
      for (const [port, endpoints] of step.changes) changes.set(port, new Map([...(changes.get(port) ?? []), ...endpoints]));
    const { namespace, name } = endpointsOf(newest);
    const ports = [...changes].map(([port, endpoints]) =>
      create(EndpointPortDeltaSchema, {
        port,
        changed: [...endpoints.values()].filter((endpoint) => endpoint !== null),
        removed: [...endpoints].flatMap(([place, endpoint]) => (endpoint === null ? [keyOf(place)] : [])),
      }),
    );
    const { resource, bytes } = newest;
    const delta = endpointsDeltaResource(resource, create(EndpointsDeltaSchema, { namespace, name, base: version, ports }));
    return delta.bytes < bytes ? delta : null;
  }
}

function endpointsOf({ resource: { body } }: Sized): Endpoints {
  if (body.case !== 'endpoints') throw new Error('endpoints are expected');
  return body.value;
}

/** @returns null: more than endpoints is different */
function changesOf(before: Endpoints, after: Endpoints): Changes | null {
  const bare = (endpoints: Endpoints) => create(EndpointsSchema, { ...endpoints, ports: endpoints.ports.map(barePort) });
  if (!equals(EndpointsSchema, bare(before), bare(after))) return null;
  const changes: Changes = new Map();
  after.ports.forEach(({ port, endpoints }, i) => {
    const left = new Map(before.ports[i].endpoints.map((endpoint) => [endpointPlace(endpoint), endpoint]));
    const ofPort = new Map<string, Endpoint | null>();
    for (const endpoint of endpoints) {
      const place = endpointPlace(endpoint);
      const known = left.get(place);
      left.delete(place);
      if (known === undefined || !equals(EndpointSchema, known, endpoint)) ofPort.set(place, endpoint);
    }
    for (const place of left.keys()) ofPort.set(place, null);
    if (ofPort.size > 0) changes.set(port, ofPort);
  });
  return changes;
}

function barePort(port: EndpointPort): EndpointPort {
  return create(EndpointPortSchema, { ...port, endpoints: [] });
}

function keyOf(place: string) {
  const [address, port] = place.split(' ');
  return create(EndpointKeySchema, { address, port: Number(port) });
}
