// Precedence of HTTPRoutes: translate, scope, compile and match together choose the rule that a slow reading of the
// specification chooses, for 100,000 requests.
import { expect } from 'chai';
import fc from 'fast-check';
import { scopeService } from '#control-plane/scope.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { HTTPRoute } from '#objects/http-route.ts';
import type { Service } from '#objects/service.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import { findRule } from '#sidecar/route/match.ts';
import { type HttpRequest, referenceHttpWinner } from './http-reference-matcher.ts';
import { httpMatch, httpRouteWith } from './random-objects.ts';

const SERVICE: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'ns-a' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
};

const rules = fc.array(
  fc.array(httpMatch, { maxLength: 4 }).map((matches) => ({ matches, backendRefs: [{ name: 'web', namespace: 'ns-a', port: 80 }] })),
  { minLength: 1, maxLength: 4 },
);
const parents: fc.Arbitrary<object[]> = fc.constant([{ group: '', kind: 'Service', name: 'web', namespace: 'ns-a' }]);
// All of one namespace, because groups replace each other as those of GRPCRoutes do.
const routes = fc
  .array(httpRouteWith(rules, parents), { minLength: 1, maxLength: 5 })
  .map((all) => all.map((route, i) => ({ ...route, metadata: { ...route.metadata!, namespace: 'ns-a', name: `r-${(i * 3) % 5}` } })));

const query = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', '12', '%31', '1+2', '')), { maxLength: 3 })
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`));

const request: fc.Arbitrary<HttpRequest> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  path: fc
    .tuple(fc.array(fc.constantFrom('v1', 'v2', 'items', '7', 'v', ''), { minLength: 1, maxLength: 4 }), query)
    .map(([elements, query]) => `/${elements.join('/').replace(/^\/+/, '')}${query}`),
  headers: fc
    .array(fc.tuple(fc.constantFrom('x-a', 'x-b', 'x-c'), fc.constantFrom('1', '2', '12', '3')), { maxLength: 3 })
    .map((pairs) => new Map(pairs)),
});

describe('control-plane/translate: precedence of HTTP matches', () => {
  it('is that of the specification', () => {
    let asked = 0;
    let decided = 0;
    let outranked = 0;
    fc.assert(
      fc.property(routes, fc.array(request, { minLength: 200, maxLength: 200 }), (routes: HTTPRoute[], requests) => {
        const store = new ObjectStore();
        store.replaceAll([SERVICE, ...routes]);
        const { service } = translateService(store, 'ns-a/web', { trustDomain: 'cluster.local' });
        const { table } = compileService(scopeService(service!, { namespace: 'ns-a' })).get(80)!;
        for (const one of requests) {
          const rule = findRule(table!, [':method', one.method, ':path', one.path, ...[...one.headers].flat()]);
          const found = rule && { route: `${rule.route!.namespace}/${rule.route!.name}`, rule: rule.index };
          const wanted = referenceHttpWinner(routes, one);
          expect(found, `${one.method} ${one.path}`).to.deep.equal(wanted);
          asked++;
          if (wanted === null) continue;
          decided++;
          const others = routes.filter(({ metadata }) => `${metadata!.namespace}/${metadata!.name}` !== wanted.route);
          if (referenceHttpWinner(others, one) !== null) outranked++;
        }
      }),
      { numRuns: 500 },
    );
    expect(asked).to.equal(100_000);
    // The property says something only where rules compete, and where none matches.
    expect(decided).to.be.within(20_000, 95_000);
    expect(outranked).to.be.greaterThan(10_000);
  }).timeout(120_000);
});
