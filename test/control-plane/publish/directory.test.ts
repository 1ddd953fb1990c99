// From a saved file to a sidecar: the directory, the store, the translation and the stream together.
import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { DirectorySource } from '#control-plane/source/files/directory-source.ts';
import { silentLogger } from '#core/program/log.ts';
import { certify, dial, type Sidecar } from './sidecar.ts';

const SERVICES = ['payment', 'payment-v1', 'payment-v2']
  .map((name) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {clusterIP: 10.0.0.1, ports: [{name: grpc, port: 80}]}\n`)
  .concat(
    'apiVersion: v1\nkind: Pod\nmetadata: {name: checkout}\nspec: {serviceAccountName: checkout, containers: [{name: app, image: app}]}\n',
  )
  .join('---\n');

const route = (v2: number) => `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: payment}
spec:
  parentRefs: [{group: "", kind: Service, name: payment}]
  rules:
  - backendRefs:
    - {name: payment-v1, port: 80, weight: ${100 - v2}}
    - {name: payment-v2, port: 80, weight: ${v2}}
`;

describe('control-plane: from a saved file to a sidecar', () => {
  let dir: string;
  let source: DirectorySource;
  let controlPlane: ControlPlane;
  let sidecar: Sidecar;

  beforeEach(async () => {
    dir = await fs.mkdtemp(join(tmpdir(), 'weft-directory-'));
    await fs.writeFile(join(dir, 'services.yaml'), SERVICES);
    await fs.writeFile(join(dir, 'routes.yaml'), route(10));
    const objects = () => source.objects().map(({ object }) => object);
    source = new DirectorySource({ dir, log: silentLogger, onChange: () => controlPlane.setObjects(objects()) });
    await source.start();
    const authority = await Authority.create({ trustDomain: 'test.local', now: Date.now });
    controlPlane = await startControlPlane({
      authority,
      verifyToken: async () => ({ error: 'not in this test' }),
      host: '127.0.0.1',
      port: 0,
      objects: objects(),
      log: silentLogger,
    });
    sidecar = dial(controlPlane.port, authority.rootsPem(), await certify(authority, 'default', 'checkout'));
    sidecar.hello('checkout', ['default/payment'], [], 'default');
    await sidecar.until(() => weightOfV2() === 10);
  });

  afterEach(async () => {
    sidecar.close();
    source.stop();
    await controlPlane.close();
    await fs.rm(dir, { recursive: true, force: true });
  });

  function weightOfV2(): number | undefined {
    const body = sidecar.inForce.get('service/default/payment')?.body;
    return body?.case === 'service' ? body.value.ports[0]!.routes?.rules[0]?.backends[1]?.weight : undefined;
  }

  it('brings every save, one small response each', async () => {
    const before = sidecar.responses.length;
    for (const weight of [20, 30, 40]) {
      await fs.writeFile(join(dir, 'routes.yaml'), route(weight));
      await sidecar.until(() => weightOfV2() === weight);
    }
    for (const { resources } of sidecar.responses.slice(before))
      expect(resources.map(({ name }) => name)).to.deep.equal(['service/default/payment']);
    const [state] = controlPlane.routeStates();
    expect(state!.generation).to.equal(4);
    expect(state!.conditions.map(({ observedGeneration }) => observedGeneration)).to.deep.equal([4, 4]);
  });

  it('keeps the last good route of a broken file in force, while other files still count', async () => {
    await fs.writeFile(join(dir, 'routes.yaml'), route(50).replace('weight: 50}', 'weight: fifty}'));
    await fs.writeFile(join(dir, 'more.yaml'), SERVICES.replaceAll('payment', 'ledger'));
    await sidecar.until(() => sidecar.inForce.has('address/default/ledger'));
    expect(weightOfV2()).to.equal(10);
    const messages = source.problems().map(({ line, message }) => `${line} ${message}`);
    expect(messages).to.include('8 GRPCRoute payment: spec.rules[0].backendRefs[0].weight must be a number from 0 to 1000000, not "fifty"');
    await fs.writeFile(join(dir, 'routes.yaml'), route(60));
    await sidecar.until(() => weightOfV2() === 60);
  });

  it('makes a route that names nothing a condition with the nearest name, and the sidecars keep running', async () => {
    await fs.writeFile(join(dir, 'routes.yaml'), route(70).replace('name: payment-v2', 'name: payment-v3'));
    await sidecar.until(() => weightOfV2() === 70);
    const refs = controlPlane.routeStates()[0]!.conditions.find(({ type }) => type === 'ResolvedRefs')!;
    expect(refs).to.include({ status: 'False', reason: 'BackendNotFound' });
    expect(refs.message).to.match(/payment-v[12]/);
  });
});
