// What holds for translate() whatever the objects are: it never throws, does not care for their order, and makes nothing
// that a sidecar refuses.
import { toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { neededBy, scopeService, serviceAddress } from '#control-plane/scope.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import { EndpointsSchema, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { KubeObject } from '#kube/object.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import { object, spoiltObject } from './random-objects.ts';
import { render } from './render.ts';

const OPTIONS = { trustDomain: 'cluster.local' };

/** A Service and its route in a namespace that the random objects never name. */
const BYSTANDERS: KubeObject[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'solid', namespace: 'quiet' },
    spec: { clusterIP: '10.96.7.7', ports: [{ port: 80 }] },
  } as KubeObject,
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: 'solid', namespace: 'quiet' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'solid' }], rules: [{ backendRefs: [{ name: 'solid', port: 80 }] }] },
  } as KubeObject,
];

function translateAll(objects: readonly KubeObject[], strictReferenceGrants = false): Map<string, unknown> {
  const store = new ObjectStore();
  store.replaceAll(objects);
  return new Map(store.allKeys().map((key) => [key, render(translateService(store, key, { ...OPTIONS, strictReferenceGrants }))]));
}

/** All that happens to a translation on its way into a sidecar. */
function deliver(objects: readonly KubeObject[]): void {
  const store = new ObjectStore();
  store.replaceAll(objects);
  for (const key of store.allKeys()) {
    const { service, endpoints, statuses } = translateService(store, key, OPTIONS);
    if (endpoints !== undefined) toBinary(EndpointsSchema, endpoints);
    for (const namespace of service === undefined ? [] : ['ns-a', 'ns-b']) {
      const scoped = scopeService(service!, { namespace });
      toBinary(ServiceSchema, scoped);
      compileService(scoped);
      neededBy(scoped);
      serviceAddress(service!, endpoints, { namespace });
    }
    for (const { conditions } of statuses) {
      for (const { type, status, reason, message } of conditions) {
        expect(type).to.be.oneOf(['Accepted', 'ResolvedRefs', 'PartiallyInvalid']);
        expect(status).to.be.oneOf(['True', 'False']);
        expect(reason).to.match(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);
        expect(message.length).to.be.within(1, 32768);
        expect(message).not.to.match(/[\p{Cc}\p{Cf}\p{Cs}]/u);
      }
    }
  }
}

describe('control-plane/translate: properties', () => {
  it('makes of well-formed objects what every sidecar can use', () => {
    fc.assert(
      fc.property(fc.array(object, { maxLength: 12 }), (objects) => deliver(objects)),
      { numRuns: 300 },
    );
  });

  it('never throws for spoilt objects, and every sidecar can use the outcome', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(object, spoiltObject), { maxLength: 8 }), (objects) => deliver(objects)),
      { numRuns: 1000 },
    );
  });

  it('spoilt objects change nothing for a Service that they do not name', () => {
    const alone = translateAll(BYSTANDERS).get('quiet/solid');
    fc.assert(
      fc.property(fc.array(spoiltObject, { maxLength: 6 }), (objects) => {
        expect(translateAll([...BYSTANDERS, ...objects]).get('quiet/solid')).to.deep.equal(alone);
      }),
      { numRuns: 300 },
    );
  });

  it('the order in which objects arrive does not matter', () => {
    const scenario = fc
      .uniqueArray(object, { maxLength: 14, selector: ({ kind, metadata }) => `${kind} ${metadata?.namespace} ${metadata?.name}` })
      .chain((objects) => fc.tuple(fc.constant(objects), fc.shuffledSubarray(objects, { minLength: objects.length }), fc.boolean()));
    fc.assert(
      fc.property(scenario, ([objects, shuffled, strict]) => {
        expect(translateAll(shuffled, strict)).to.deep.equal(translateAll(objects, strict));
      }),
      { numRuns: 300 },
    );
  });

  it('translation leaves its objects alone', () => {
    fc.assert(
      fc.property(fc.array(object, { maxLength: 8 }), (objects) => {
        const before = structuredClone(objects);
        translateAll(objects);
        expect(objects).to.deep.equal(before);
      }),
      { numRuns: 100 },
    );
  });
});
