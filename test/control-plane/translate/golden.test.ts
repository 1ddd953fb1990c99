// The golden files: test/golden/<case>.yaml, named after the conformance tests and the traps of the Gateway API.
// UPDATE_GOLDEN=1 rewrites them.
import fs from 'node:fs';
import path from 'node:path';
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import { GRPCRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1alpha2/GRPCRoute';
import { expect } from 'chai';
import { scopeService } from '#control-plane/scope.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import { readCase, renderCase, writeCase } from './golden-case.ts';

const directory = path.resolve(import.meta.dirname, '../../golden');
const files = fs.readdirSync(directory).filter((file) => file.endsWith('.yaml'));

describe('golden files', () => {
  it('are all there', () => {
    expect(files.length).to.be.at.least(40);
  });

  for (const file of files) {
    describe(file, () => {
      const place = path.join(directory, file);
      const golden = readCase(fs.readFileSync(place, 'utf8'));

      it('translates as expected', () => {
        const made = renderCase(golden);
        if (process.env.UPDATE_GOLDEN === '1') fs.writeFileSync(place, writeCase(golden, made));
        else expect(made).to.equal(golden.expected);
      });

      it('is what every sidecar can compile', () => {
        const store = new ObjectStore();
        const keys = store.replaceAll(golden.objects).services;
        const namespaces = golden.objects.map(({ metadata }) => metadata?.namespace ?? 'default');
        for (const key of keys) {
          const { service } = translateService(store, key, { trustDomain: 'cluster.local' });
          for (const namespace of new Set(namespaces)) if (service !== undefined) compileService(scopeService(service, { namespace }));
        }
      });

      if (golden.options.bypassesCrd === undefined) {
        it('has routes that the API server would take', () => {
          for (const object of golden.objects.filter(({ kind }) => kind === 'HTTPRoute'))
            new HTTPRoute({ ...object } as ConstructorParameters<typeof HTTPRoute>[0]).validate();
          for (const object of golden.objects.filter(({ kind }) => kind === 'GRPCRoute')) {
            expect(object.apiVersion).to.equal('gateway.networking.k8s.io/v1');
            new GRPCRoute({ ...object, apiVersion: 'gateway.networking.k8s.io/v1alpha2' } as ConstructorParameters<
              typeof GRPCRoute
            >[0]).validate();
          }
        });
      }
    });
  }
});
