// A whole control plane on loopback, real mTLS and grpc-js clients: change a manifest's object, see what each sidecar
// gets.
import { EventEmitter } from 'node:events';
import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, ControlPlaneStartError, startControlPlane } from '#control-plane/program/assemble.ts';
import { configHandlers, REFUSALS_LOGGED_BURST } from '#control-plane/publish/serve.ts';
import { MOST_WANTED } from '#control-plane/publish/wanted.ts';
import type { Service, Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import type { KubeObject } from '#kube/object.ts';
import { type Certificate, certify, dial, type Sidecar } from './sidecar.ts';

const service = (name: string, port = 80) =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { clusterIP: '10.0.0.1', ports: [{ name: 'grpc', port, targetPort: 8080 }] },
  }) as KubeObject;

const slice = (name: string, ...addresses: string[]) =>
  ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ name: 'grpc', port: 8080 }],
  }) as KubeObject;

const route = (backend: string, generation = 1) =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: 'payment', namespace: 'shop', generation },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'payment' }], rules: [{ backendRefs: [{ name: backend, port: 80 }] }] },
  }) as KubeObject;

const pod = (name: string, serviceAccountName: string, labels: Record<string, string> = {}) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid: `uid-${name}`, labels },
    spec: { serviceAccountName },
  }) as KubeObject;

const OBJECTS = [
  service('payment'),
  service('payment-v1'),
  service('payment-v2'),
  slice('payment-v1', '10.1.0.1'),
  slice('payment-v2', '10.1.0.2'),
  route('payment-v1'),
  pod('checkout-1', 'checkout', { 'weft.dev/mtls': 'strict' }),
  pod('checkout-2', 'checkout'),
  pod('other-1', 'other'),
];

describe('control-plane: the configuration stream over mTLS', () => {
  let authority: Authority;
  let controlPlane: ControlPlane;
  const opened: Sidecar[] = [];

  before(async () => {
    authority = await Authority.create({ trustDomain: 'test.local', now: Date.now });
  });

  beforeEach(async () => {
    controlPlane = await start();
  });

  afterEach(async () => {
    for (const sidecar of opened.splice(0)) sidecar.close();
    await controlPlane.close();
  });

  function start(objects: KubeObject[] = OBJECTS, timers: Timers = systemTimers): Promise<ControlPlane> {
    return startControlPlane({
      authority,
      verifyToken: async () => ({ error: 'not in this test' }),
      host: '127.0.0.1',
      port: 0,
      objects,
      timers,
      log: silentLogger,
    });
  }

  function open(certificate: Certificate | null, serialize?: () => Buffer): Sidecar {
    const sidecar = dial(controlPlane.port, authority.rootsPem(), certificate, serialize);
    opened.push(sidecar);
    return sidecar;
  }

  async function connect(serviceAccount = 'checkout', namespace = 'shop', issuer = authority, podUid = ''): Promise<Sidecar> {
    return open(await certify(issuer, namespace, serviceAccount, podUid));
  }

  /** With a certificate that names this pod of ServiceAccount checkout. */
  function connectAs(podName: string): Promise<Sidecar> {
    return connect('checkout', 'shop', authority, `uid-${podName}`);
  }

  it('sends a sidecar anew what annotations of its pod, of its namespace and of a route say about telemetry', async () => {
    const annotated = (object: KubeObject, annotations: Record<string, string>): KubeObject => ({
      ...object,
      metadata: { ...object.metadata, annotations },
    });
    const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
    const sidecar = (await connect()).hello('checkout-1');
    sidecar.want('shop/payment');
    await sidecar.until(() => sidecar.inForce.has('service/shop/payment'));
    const telemetry = () => (sidecar.inForce.get('workload')!.body.value as Workload).telemetry;
    expect(telemetry()).to.equal(undefined);
    controlPlane.apply(annotated(namespace, { 'weft.dev/access-log': 'errors', 'weft.dev/trace-sampling': '5%' }));
    await sidecar.until(() => telemetry()?.accessLog === 'errors');
    expect(telemetry()!.traceSampling).to.equal(0.05);
    controlPlane.apply(annotated(pod('checkout-1', 'checkout'), { 'weft.dev/access-log': 'all', 'weft.dev/trace-sampling': 'much' }));
    await sidecar.until(() => telemetry()?.accessLog === 'all');
    expect(telemetry()!.traceSampling).to.equal(0.05);
    expect(controlPlane.problems().join()).to.match(/^Pod shop\/checkout-1: annotation weft.dev\/trace-sampling: "much" is ignored: /);
    controlPlane.apply(pod('checkout-1', 'checkout'));
    controlPlane.remove('Namespace', undefined, 'shop');
    await sidecar.until(() => telemetry() === undefined);
    expect(controlPlane.problems()).to.deep.equal([]);
    const ofRule = () => (sidecar.inForce.get('service/shop/payment')!.body.value as Service).ports[0].routes!.rules[0].traceSampling;
    controlPlane.apply(annotated(route('payment-v1'), { 'weft.dev/trace-sampling': '1' }));
    await sidecar.until(() => ofRule() === 1);
    controlPlane.apply(route('payment-v1'));
    await sidecar.until(() => ofRule() === undefined);
  });

  it('sends a sidecar anew what XTelemetryPolicies say, as they, Services, endpoints and grants change', async () => {
    const target = (kind: string, name: string) => ({ group: '', kind, name });
    const policy = (name: string, targetRef: object, numerator: number) =>
      ({
        apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
        kind: 'XTelemetryPolicy',
        metadata: { namespace: 'shop', name },
        spec: {
          targetRefs: [targetRef],
          tracing: {
            mode: 'Enabled',
            provider: { backendRef: { namespace: 'obs', name: 'jaeger', port: 4318 } },
            samplingRate: { numerator },
          },
        },
      }) as KubeObject;
    const from = { group: 'gateway.networking.x-k8s.io', kind: 'XTelemetryPolicy', namespace: 'shop' };
    const grant = {
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { namespace: 'obs', name: 'spans' },
      spec: { from: [from], to: [{ group: '', kind: 'Service' }] },
    } as KubeObject;
    const jaeger = { ...service('jaeger', 4318), metadata: { namespace: 'obs', name: 'jaeger' } };
    const sidecar = (await connect()).hello('checkout-1');
    await sidecar.until(() => sidecar.inForce.has('workload'));
    const share = () => (sidecar.inForce.get('workload')!.body.value as Workload).telemetry?.traceSampling;
    controlPlane.apply(policy('all', target('Namespace', 'shop'), 1));
    controlPlane.apply(grant);
    expect(share()).to.equal(undefined);
    controlPlane.apply(jaeger);
    await sidecar.until(() => share() === 0.01);
    controlPlane.apply(policy('near', target('Service', 'checkout'), 20));
    controlPlane.apply(service('checkout'));
    const behind = slice('checkout') as KubeObject & { endpoints: object[] };
    behind.endpoints = [{ addresses: ['10.1.0.9'], targetRef: { kind: 'Pod', namespace: 'shop', name: 'checkout-1' } }];
    controlPlane.apply(behind);
    await sidecar.until(() => share() === 0.2);
    controlPlane.remove('EndpointSlice', 'shop', 'checkout');
    await sidecar.until(() => share() === 0.01);
    controlPlane.remove('ReferenceGrant', 'obs', 'spans');
    await sidecar.until(() => share() === undefined);
    controlPlane.apply(grant);
    await sidecar.until(() => share() === 0.01);
    controlPlane.remove('XTelemetryPolicy', 'shop', 'all');
    await sidecar.until(() => share() === undefined);
  });

  it('sends what a sidecar needs to start, then a wanted Service, then only what changed', async () => {
    const sidecar = (await connect()).hello('checkout-1');
    await sidecar.until(() => sidecar.responses.length === 1);
    expect(sidecar.responses[0]!.resources.map(({ name }) => name)).to.deep.equal([
      'trust',
      'workload',
      'address/shop/payment',
      'address/shop/payment-v1',
      'address/shop/payment-v2',
    ]);
    const { body } = sidecar.inForce.get('workload')!;
    expect(body.value).to.include({ pod: 'checkout-1', identity: 'spiffe://test.local/ns/shop/sa/checkout', mtls: 2 });
    sidecar.want('shop/payment');
    await sidecar.until(() => sidecar.responses.length === 2);
    expect(sidecar.responses[1]!.resources.map(({ name }) => name)).to.deep.equal([
      'endpoints/shop/payment',
      'endpoints/shop/payment-v1',
      'service/shop/payment',
    ]);
    controlPlane.apply(slice('payment-v1', '10.1.0.1', '10.1.0.3'));
    await sidecar.until(() => sidecar.responses.length === 3);
    expect(sidecar.responses[2]!.resources.map(({ name }) => name)).to.deep.equal(['endpoints/shop/payment-v1']);
    controlPlane.setObjects([
      ...OBJECTS.filter(({ kind }) => kind !== 'GRPCRoute'),
      slice('payment-v1', '10.1.0.1', '10.1.0.3'),
      route('payment-v2', 2),
    ]);
    await sidecar.until(() => sidecar.responses.length === 4);
    expect(sidecar.responses[3]!.resources.map(({ name }) => name)).to.deep.equal(['endpoints/shop/payment-v2', 'service/shop/payment']);
    expect(sidecar.responses[3]!.removed).to.deep.equal([]);
    await sidecar.until(() => sidecar.responses.length === 5);
    expect(sidecar.responses[4]!.resources).to.deep.equal([]);
    expect(sidecar.responses[4]!.removed).to.deep.equal(['endpoints/shop/payment-v1']);
  });

  it('shows in the routes on how many sidecars they are in force, and which refuse them', async () => {
    const good = (await connect()).hello('checkout-1', ['shop/payment']);
    const poisoned = (await connect('other')).hello('other-1', ['shop/payment']);
    poisoned.rejects.add('service/shop/payment');
    const state = () => controlPlane.routeStates()[0]!;
    await good.until(() => good.responses.length === 1);
    await poisoned.until(() => poisoned.responses.length === 1);
    // The answers are on their way; a further exchange on the same stream comes after them.
    for (const sidecar of [good, poisoned]) {
      sidecar.want('shop/nowhere');
      await sidecar.until(() => sidecar.responses.length === 2);
    }
    expect(state().conditions.map(({ type, status: value }) => `${type}=${value}`)).to.include('Accepted=True');
    expect(state().applied).to.deep.include({ want: 2, applied: 1 });
    expect(state().applied.rejected[0]).to.include({ pod: 'shop/other-1', reason: 'cannot compile' });
    expect(controlPlane.problems()).to.deep.equal(['the sidecar of shop/other-1 cannot use service/shop/payment: cannot compile']);
    controlPlane.apply(slice('payment-v1', '10.1.0.8'));
    await poisoned.until(() => poisoned.responses.length === 3);
    expect(poisoned.responses[2]!.resources.map(({ name }) => name)).to.deep.equal(['endpoints/shop/payment-v1']);
  });

  it('reports an absent Service, and brings it when it is created', async () => {
    const sidecar = (await connect()).hello('checkout-1', ['shop/later']);
    await sidecar.until(() => sidecar.responses.length === 1);
    expect(sidecar.responses[0]!.absent).to.deep.equal(['shop/later']);
    controlPlane.apply(service('later'));
    await sidecar.until(() => sidecar.inForce.has('service/shop/later'));
  });

  it('sends a sidecar that comes back only what differs, also after the control plane was replaced', async () => {
    const first = (await connect()).hello('checkout-1', ['shop/payment']);
    await first.until(() => first.inForce.has('service/shop/payment'));
    const held = [...first.inForce.values()].map(({ name, version }) => ({ name, version }));
    await controlPlane.close();
    expect(await first.code()).to.equal(status.UNAVAILABLE);
    controlPlane = await start([...OBJECTS, slice('payment-v1', '10.1.0.9')]);
    const again = (await connect()).hello('checkout-1', ['shop/payment'], held);
    await again.until(() => again.responses.length === 1);
    expect(again.responses[0]!.resources.map(({ name }) => name)).to.deep.equal(['endpoints/shop/payment-v1']);
    expect(again.responses[0]!.removed).to.deep.equal([]);
  });

  it('sends a slow sidecar the latest of each resource after its answer, and the others at once', async () => {
    const slow = await connect();
    slow.answers = false;
    slow.hello('checkout-1', ['shop/payment-v1']);
    await slow.until(() => slow.responses.length === 1);
    const quick = (await connect('other')).hello('other-1', ['shop/payment-v1']);
    for (let i = 1; i <= 5; i++) {
      controlPlane.apply(slice('payment-v1', `10.2.0.${i}`));
      await quick.until(() => addressIn(quick) === `10.2.0.${i}`);
    }
    expect(slow.responses).to.have.length(1);
    slow.answer(slow.responses[0]!);
    await slow.until(() => slow.responses.length === 2);
    slow.answer(slow.responses[1]!);
    expect(addressIn(slow)).to.equal('10.2.0.5');
  });

  it('keeps one stream per pod: the newer one', async () => {
    const older = (await connectAs('checkout-1')).hello('checkout-1');
    await older.until(() => older.responses.length === 1);
    const newer = (await connectAs('checkout-1')).hello('checkout-1');
    expect(await older.code()).to.equal(status.ABORTED);
    controlPlane.apply(service('later'));
    await newer.until(() => newer.inForce.has('address/shop/later'));
    expect(controlPlane.publisher.sidecars()).to.have.length(1);
  });

  it('forgets a sidecar that goes away', async () => {
    const sidecar = (await connect()).hello('checkout-1', ['shop/payment']);
    await sidecar.until(() => sidecar.responses.length === 1);
    sidecar.close();
    while (controlPlane.publisher.sidecars().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(controlPlane.publisher.appliedOn('service/shop/payment').want).to.equal(0);
  });

  it('closes a stream when the certificate that opened it expires', async () => {
    await controlPlane.close();
    const farTimers: (() => void)[] = [];
    controlPlane = await start(OBJECTS, {
      now: Date.now,
      after: (ms, then) => {
        if (ms < 3600_000) return systemTimers.after(ms, then);
        farTimers.push(then);
        return () => {};
      },
    });
    const sidecar = (await connect()).hello('checkout-1');
    await sidecar.until(() => sidecar.responses.length === 1);
    expect(farTimers).to.have.length(1);
    farTimers[0]!();
    expect(await sidecar.code()).to.equal(status.UNAUTHENTICATED);
    expect(controlPlane.publisher.sidecars()).to.have.length(0);
  });

  describe('refuses', () => {
    it('a peer without a certificate, or with one of another authority', async () => {
      const anonymous = open(null).hello('checkout-1');
      expect(await anonymous.code()).to.equal(status.UNAUTHENTICATED);
      const foreign = await Authority.create({ trustDomain: 'test.local', now: Date.now });
      expect(await (await connect('checkout', 'shop', foreign)).hello('checkout-1').code()).to.equal(status.UNAUTHENTICATED);
      expect(anonymous.responses).to.have.length(0);
    });

    it("another namespace's configuration, and another ServiceAccount's pod", async () => {
      expect(await (await connect('checkout', 'evil')).hello('checkout-1', [], [], 'shop').code()).to.equal(status.PERMISSION_DENIED);
      expect(await (await connect('payment')).hello('checkout-1').code()).to.equal(status.PERMISSION_DENIED);
    });

    it('messages out of order and without measure', async () => {
      expect(await (await connect()).want('shop/payment').code()).to.equal(status.INVALID_ARGUMENT);
      expect(await (await connect()).hello('').code()).to.equal(status.INVALID_ARGUMENT);
      expect(await (await connect()).hello('checkout-1').hello('checkout-1').code()).to.equal(status.INVALID_ARGUMENT);
      expect(await (await connect()).hello('checkout-1', ['x'.repeat(1000)]).code()).to.equal(status.INVALID_ARGUMENT);
      const many = Array.from({ length: MOST_WANTED + 1 }, (_, i) => `shop/s${i}`);
      expect(await (await connect()).hello('checkout-1', many).code()).to.equal(status.RESOURCE_EXHAUSTED);
      expect(
        await (await connect())
          .hello('checkout-1')
          .want(...many)
          .code(),
      ).to.equal(status.RESOURCE_EXHAUSTED);
      const huge = Array.from({ length: 50 }, () => 'x'.repeat(100_000));
      expect(await (await connect()).hello('checkout-1', huge).code()).to.equal(status.RESOURCE_EXHAUSTED);
    });

    it('without filling the log', () => {
      let warned = 0;
      const log: Logger = { ...silentLogger, warn: () => void warned++, child: () => log };
      const identify = () => ({ ok: false, reason: 'no valid client certificate' }) as const;
      const { publisher } = controlPlane;
      const { subscribe } = configHandlers({ publisher, identify, timers: { now: () => 0, after: () => () => {} }, log });
      const refused = (peer: string): void => {
        const call = new EventEmitter();
        call.on('error', () => {});
        (subscribe as (call: unknown) => void)(Object.assign(call, { getPeer: () => peer }));
      };
      for (let i = 0; i < 1000; i++) refused(`10.0.0.1:${i}`);
      expect(warned).to.equal(REFUSALS_LOGGED_BURST);
      refused('fd00::1:5');
      expect(warned, 'of another address it is logged').to.equal(REFUSALS_LOGGED_BURST + 1);
    });

    it('bytes that are no message, and goes on serving', async () => {
      const garbled = open(await certify(authority, 'shop', 'checkout'), () => Buffer.from([0xff, 0xff, 0xff]));
      expect(await garbled.hello('checkout-1').code()).to.equal(status.INTERNAL);
      const sidecar = (await connect()).hello('checkout-1');
      await sidecar.until(() => sidecar.responses.length === 1);
    });
  });

  it('takes no sidecar in once it is closed, not even one that had connected before', async () => {
    const identify = () =>
      ({
        ok: true,
        workload: { trustDomain: 'test.local', namespace: 'shop', serviceAccount: 'checkout' },
        notAfterMs: Date.now() + 1000,
      }) as const;
    const timers: Timers = { now: Date.now, after: () => () => {} };
    const { subscribe } = configHandlers({ publisher: controlPlane.publisher, identify, timers, log: silentLogger });
    const call = Object.assign(new EventEmitter(), { getPeer: () => '10.0.0.1:1', write: () => expect.fail('it was served') });
    const errors: unknown[] = [];
    (subscribe as (call: unknown) => void)(call);
    call.on('error', (error) => errors.push(error));
    await controlPlane.close();
    call.emit('data', {
      message: { case: 'hello', value: { version: 'test', namespace: 'shop', pod: 'checkout-1', services: [], addresses: [], held: [] } },
    });
    expect(errors).to.deep.equal([{ code: status.UNAVAILABLE, details: 'the control plane is shutting down' }]);
    expect(controlPlane.publisher.sidecars()).to.deep.equal([]);
  });

  it('says which address is taken', async () => {
    const error = await startControlPlane({
      authority,
      verifyToken: async () => ({ error: '' }),
      host: '127.0.0.1',
      port: controlPlane.port,
      log: silentLogger,
    }).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(ControlPlaneStartError);
    expect((error as Error).message).to.equal(`the control plane cannot listen on 127.0.0.1:${controlPlane.port}: the address is in use`);
  });
});

function addressIn(sidecar: Sidecar): string | undefined {
  const body = sidecar.inForce.get('endpoints/shop/payment-v1')?.body;
  return body?.case === 'endpoints' ? body.value.ports[0]?.endpoints[0]?.address : undefined;
}
