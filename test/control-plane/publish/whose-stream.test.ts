// A configuration stream belongs to one pod, and a pod costs no more than its share: what ghosts, siblings and greedy pods
// meet, over real mTLS.
import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { MOST_HELD, NAMES_BURST, POD_WITHIN_MS, STREAMS_BURST } from '#control-plane/publish/serve.ts';
import { MOST_WANTED } from '#control-plane/publish/wanted.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import type { KubeObject } from '#kube/object.ts';
import { type Certificate, certify, dial, type Sidecar } from './sidecar.ts';

const pod = (name: string, serviceAccountName: string) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid: `uid-${name}` },
    spec: { serviceAccountName },
  }) as KubeObject;

const OBJECTS = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'payment', namespace: 'shop' },
    spec: { clusterIP: '10.0.0.1', ports: [{ name: 'grpc', port: 80, targetPort: 8080 }] },
  } as KubeObject,
  { ...pod('checkout-1', 'checkout'), metadata: { ...pod('checkout-1', '').metadata, labels: { 'weft.dev/mtls': 'strict' } } },
  pod('checkout-2', 'checkout'),
];

describe('control-plane/publish: whose stream it is', () => {
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
    const verifyToken = async () => ({ error: 'not in this test' });
    return startControlPlane({ authority, verifyToken, host: '127.0.0.1', port: 0, objects, timers, log: silentLogger });
  }

  function open(certificate: Certificate): Sidecar {
    const sidecar = dial(controlPlane.port, authority.rootsPem(), certificate);
    opened.push(sidecar);
    return sidecar;
  }

  /** With a certificate of ServiceAccount checkout that names no pod. */
  async function connect(): Promise<Sidecar> {
    return open(await certify(authority, 'shop', 'checkout'));
  }

  /** With one that names this pod. */
  async function connectAs(podName: string): Promise<Sidecar> {
    return open(await certify(authority, 'shop', 'checkout', `uid-${podName}`));
  }

  it('refuses pods that do not exist, however many', async () => {
    for (let i = 0; i < 5; i++) expect(await (await connect()).hello(`ghost-${i}`).code()).to.equal(status.PERMISSION_DENIED);
    expect(controlPlane.publisher.sidecars()).to.have.length(0);
  });

  it("refuses a sibling's place: a stream belongs to the pod that the certificate was issued to", async () => {
    const own = (await connectAs('checkout-1')).hello('checkout-1', ['shop/payment']);
    await own.until(() => own.responses.length === 1);
    controlPlane.apply(pod('checkout-1', 'checkout'));
    await own.until(() => own.responses.length === 2);
    // One that names no pod takes the place of none; it may serve a pod that has no stream.
    expect(await (await connect()).hello('checkout-1').code()).to.equal(status.PERMISSION_DENIED);
    const free = (await connect()).hello('checkout-2');
    await free.until(() => free.responses.length === 1);
    const sibling = (await connectAs('checkout-2')).hello('checkout-2');
    expect(await free.code()).to.equal(status.ABORTED);
    await sibling.until(() => sibling.responses.length === 1);
    expect(own.ended).to.equal(null);
    expect(controlPlane.publisher.sidecars()).to.have.length(2);
  });

  it('refuses another pod than the one of the certificate, once that cannot be one that the watch has not reported yet', async () => {
    await controlPlane.close();
    let aheadMs = 0;
    const timers: Timers = { now: () => Date.now() + aheadMs, after: systemTimers.after };
    controlPlane = await start(OBJECTS, timers);
    const thief = (await connectAs('checkout-2')).hello('checkout-1');
    const early = (await connectAs('checkout-9')).hello('checkout-9');
    controlPlane.apply(pod('checkout-9', 'checkout'));
    await early.until(() => early.responses.length === 1);
    expect(thief.ended).to.equal(null);
    aheadMs = POD_WITHIN_MS;
    expect(await thief.code()).to.equal(status.PERMISSION_DENIED);
    expect(thief.responses).to.have.length(0);
  });

  it('ends the stream of a pod that is gone, and one that replaced it under its name', async () => {
    const gone = (await connectAs('checkout-1')).hello('checkout-1');
    await gone.until(() => gone.responses.length === 1);
    controlPlane.remove('Pod', 'shop', 'checkout-1');
    expect(await gone.code()).to.equal(status.PERMISSION_DENIED);
    const replaced = (await connectAs('checkout-2')).hello('checkout-2');
    await replaced.until(() => replaced.responses.length === 1);
    const next = pod('checkout-2', 'checkout');
    controlPlane.apply({ ...next, metadata: { ...next.metadata, uid: 'uid-another' } });
    expect(await replaced.code()).to.equal(status.PERMISSION_DENIED);
  });

  it('refuses more streams of one pod than it can need, and lets its sibling in', async () => {
    // Time would earn it further streams.
    const startMs = Date.now();
    await controlPlane.close();
    controlPlane = await start(OBJECTS, { now: () => startMs, after: systemTimers.after });
    const certificate = await certify(authority, 'shop', 'checkout', 'uid-checkout-1');
    const codes: (status | undefined)[] = [];
    for (let i = 0; i <= STREAMS_BURST; i++) {
      const one = open(certificate).hello('checkout-1');
      await one.until(() => one.responses.length > 0 || one.ended !== null);
      codes.push(one.ended?.code);
    }
    expect(codes.slice(0, STREAMS_BURST)).to.deep.equal(Array.from({ length: STREAMS_BURST }, () => undefined));
    expect(codes.at(-1)).to.equal(status.RESOURCE_EXHAUSTED);
    const sibling = (await connectAs('checkout-2')).hello('checkout-2');
    await sibling.until(() => sibling.responses.length === 1);
  });

  it('ends one that sends names without end, though it wants no more than it may', async () => {
    const names = Array.from({ length: MOST_WANTED - 10 }, (_, i) => `shop/s${i}`);
    const greedy = (await connectAs('checkout-1')).hello('checkout-1');
    await greedy.until(() => greedy.responses.length === 1);
    for (let i = 0; i <= NAMES_BURST / names.length; i++) greedy.want(...names);
    expect(await greedy.code()).to.equal(status.RESOURCE_EXHAUSTED);
    expect(greedy.ended?.details).to.match(/names a minute/);
    const sibling = (await connectAs('checkout-2')).hello('checkout-2');
    await sibling.until(() => sibling.responses.length === 1);
  });

  it('refuses hellos of all that a pod may hold, again and again, and lets its sibling say its own', async () => {
    const held = Array.from({ length: MOST_HELD / 2 }, (_, i) => ({ name: `endpoints/shop/e${i}`, version: 'old' }));
    const certificate = await certify(authority, 'shop', 'checkout', 'uid-checkout-1');
    const codes: (status | undefined)[] = [];
    for (let i = 0; i <= NAMES_BURST / held.length; i++) {
      const one = open(certificate).hello('checkout-1', [], held);
      await one.until(() => one.responses.length > 0 || one.ended !== null);
      codes.push(one.ended?.code);
    }
    expect(codes[0]).to.equal(undefined);
    expect(codes.at(-1)).to.equal(status.RESOURCE_EXHAUSTED);
    const sibling = (await connectAs('checkout-2')).hello('checkout-2', [], held);
    await sibling.until(() => sibling.responses.length === 1);
  });
});
