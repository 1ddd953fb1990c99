// Precedence: translate, scope, compile and match together choose the rule that a slow reading of the specification
// chooses.
import { expect } from 'chai';
import fc from 'fast-check';
import { scopeService } from '#control-plane/scope.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { GRPCRoute } from '#objects/grpc-route.ts';
import type { Service } from '#objects/service.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import { findRule } from '#sidecar/route/match.ts';
import { match, routeWith } from './random-objects.ts';
import { type Call, referenceWinner } from './reference-matcher.ts';

const SERVICE: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'ns-a' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'grpc', port: 80 }] },
};

const rules = fc.array(
  fc.array(match, { maxLength: 4 }).map((matches) => ({ matches, backendRefs: [{ name: 'web', namespace: 'ns-a', port: 80 }] })),
  { minLength: 1, maxLength: 4 },
);
const routes = fc.uniqueArray(routeWith(rules, fc.constant([{ group: '', kind: 'Service', name: 'web', namespace: 'ns-a' }])), {
  selector: ({ metadata }) => `${metadata!.namespace}/${metadata!.name}`,
  minLength: 1,
  maxLength: 5,
});

const call: fc.Arbitrary<Call> = fc.record({
  service: fc.constantFrom('a.S', 'a.S2', 'b.S', 'c.S'),
  method: fc.constantFrom('Get', 'Put', 'GetAll', 'List'),
  headers: fc
    .array(fc.tuple(fc.constantFrom('x-a', 'x-b', 'x-c'), fc.constantFrom('1', '2', '12', '3')), { maxLength: 3 })
    .map((pairs) => new Map(pairs)),
});

describe('control-plane/translate: precedence of matches', () => {
  it('is that of the specification, for producer and consumer groups', () => {
    let decided = 0;
    let outranked = 0;
    fc.assert(
      fc.property(routes, fc.array(call, { minLength: 20, maxLength: 20 }), (routes, calls) => {
        const store = new ObjectStore();
        store.replaceAll([SERVICE, ...routes]);
        const { service } = translateService(store, 'ns-a/web', { trustDomain: 'cluster.local' });
        for (const namespace of ['ns-a', 'ns-b', 'ns-c']) {
          const group = groupFor(namespace, routes);
          const port = compileService(scopeService(service!, { namespace })).get(80)!;
          expect(port.table === null).to.equal(group.length === 0);
          if (port.table === null) continue;
          for (const one of calls) {
            const rule = findRule(port.table, [':path', `/${one.service}/${one.method}`, ...[...one.headers].flat()]);
            const found = rule && { route: `${rule.route!.namespace}/${rule.route!.name}`, rule: rule.index };
            const wanted = referenceWinner(group, one);
            expect(found).to.deep.equal(wanted);
            if (wanted !== null) decided++;
            if (
              wanted !== null &&
              referenceWinner(
                group.filter(({ metadata }) => `${metadata!.namespace}/${metadata!.name}` !== wanted.route),
                one,
              )
            )
              outranked++;
          }
        }
      }),
      { numRuns: 400 },
    );
    // The property says something only where rules compete.
    expect(decided).to.be.greaterThan(5000);
    expect(outranked).to.be.greaterThan(1000);
  });
});

/** GEP-1294: the client's namespace's own routes if there are any, otherwise those of the Service's namespace. */
function groupFor(clientNamespace: string, routes: readonly GRPCRoute[]): GRPCRoute[] {
  const of = (namespace: string) => routes.filter(({ metadata }) => metadata!.namespace === namespace);
  const consumers = clientNamespace === 'ns-a' ? [] : of(clientNamespace);
  return consumers.length > 0 ? consumers : of('ns-a');
}
