// mTLS between pods: who may call what, what the application learns of its caller, and probes that go on under STRICT.
import { expect } from 'chai';
import type { Call, Caller } from '../support/caller.ts';
import { eventually, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-mtls';
const OUTSIDE = 'e2e-mtls-outside';
const PERMISSIVE: Call = { to: `permissive.${NS}:7070`, fresh: true };
const STRICT: Call = { to: `strict.${NS}:7070`, fresh: true };
const IDENTITY = 'x-forwarded-client-cert';
/** As long as a refused connection may take to show; a call that gets through shows at once. */
const READY_FOR_SECONDS = 15;

describe('mTLS', () => {
  const stage = scene({ [NS]: INJECT, [OUTSIDE]: {} });
  let meshed: Caller;
  let unmeshed: Caller;

  before(async function () {
    this.timeout(300_000);
    const strict = { labels: { 'weft.dev/mtls': 'strict' } };
    await stage.objects.apply(
      echo({ namespace: NS, name: 'permissive' }),
      echo({ namespace: NS, name: 'strict', ...strict }),
      echo({ namespace: NS, name: 'http-probe', ...strict, container: { readinessProbe: probe({ httpGet: { port: 8080, path: '/' } }) } }),
      echo({ namespace: NS, name: 'grpc-probe', ...strict, container: { readinessProbe: probe({ grpc: { port: 7070 } }) } }),
      echo({ namespace: NS, name: 'tcp-probe', ...strict, container: { readinessProbe: probe({ tcpSocket: { port: 9090 } }) } }),
      service(NS, 'permissive', { version: 'permissive' }),
      service(NS, 'strict', { version: 'strict' }),
    );
    [meshed, unmeshed] = await Promise.all([
      stage.caller(NS),
      stage.caller(OUTSIDE, 'outsider'),
      stage.objects.rolledOut(NS, 'permissive', 'strict', 'http-probe', 'grpc-probe', 'tcp-probe'),
    ]);
    // Callers outside the mesh go by the node's rules, which may be a moment behind a pod that is Ready.
    await unmeshed.until('an answer', PERMISSIVE, ({ grpcStatus }) => grpcStatus === 0);
  });

  it('carries calls between meshed pods, and the application sees the caller’s identity', async () => {
    for (const call of [PERMISSIVE, STRICT]) {
      const answer = await meshed.until('an answer', call, ({ grpcStatus }) => grpcStatus === 0);
      expect(answer.seen[IDENTITY]?.join()).to.contain(`spiffe://cluster.local/ns/${NS}/sa/default`);
    }
  });

  it('takes away an identity that a caller claims', async () => {
    const claim: [string, string] = [IDENTITY, 'URI=spiffe://cluster.local/ns/kube-system/sa/admin'];
    const headers = [claim] as const;
    const fromMesh = await meshed.grpc({ ...STRICT, headers });
    expect(fromMesh.seen[IDENTITY]?.join()).to.contain(`ns/${NS}/sa/default`).and.not.contain('admin');
    const fromOutside = await unmeshed.grpc({ ...PERMISSIVE, headers });
    expect(fromOutside.grpcStatus, JSON.stringify(fromOutside)).to.equal(0);
    expect(fromOutside.seen).not.to.have.property(IDENTITY);
  });

  it('lets unmeshed callers in where mTLS is permissive', async () => {
    const answer = await unmeshed.grpc(PERMISSIVE);
    expect(answer.grpcStatus, JSON.stringify(answer)).to.equal(0);
    expect(answer.seen).not.to.have.property(IDENTITY);
    expect((await unmeshed.http({ url: `http://permissive.${NS}/` })).status).to.equal(200);
  });

  it('refuses unmeshed callers where it is strict, whatever protocol they speak', async () => {
    const grpc = await unmeshed.grpc(STRICT);
    expect(grpc.error, JSON.stringify(grpc)).to.be.a('string');
    const http = await unmeshed.http({ url: `http://strict.${NS}/` });
    expect(http.error, JSON.stringify(http)).to.be.a('string');
    const tcp = await unmeshed.tcp({ host: `strict.${NS}`, port: 9090, send: 'hello\n', until: 'hello' });
    expect(tcp.received).not.to.contain('Hostname');
    const [pod] = await stage.objects.list<PodItem>('pods', NS, 'version=strict');
    expect((await unmeshed.grpc({ ...STRICT, to: `${pod!.status.podIP}:7070` })).error, 'by the pod address').to.be.a('string');
  });

  it('carries HTTP and TCP between meshed pods under STRICT', async () => {
    const http = await meshed.http({ url: 'http://strict/' });
    expect(http.status, JSON.stringify(http)).to.equal(200);
    const tcp = await meshed.tcp({ host: 'strict', port: 9090, send: 'hello\n', until: 'hello' });
    expect(tcp.received).to.contain('Hostname=strict-');
  });

  for (const kind of ['http', 'grpc', 'tcp']) {
    it(`keeps a pod with a ${kind.toUpperCase()} probe Ready under STRICT`, async function () {
      this.timeout(60_000);
      const [pod] = await stage.objects.list<PodItem>('pods', NS, `version=${kind}-probe`);
      const ready = pod!.status.conditions!.find(({ type }) => type === 'Ready')!;
      expect(ready.status).to.equal('True');
      // A probe asks each second and gives up after the third failure: had one failed since, the condition would have
      // changed.
      await eventually('some probes', async () => Date.now() - Date.parse(ready.lastTransitionTime) > READY_FOR_SECONDS * 1000, 60_000);
      const now = (await stage.objects.get<PodItem>('pod', pod!.metadata.name, NS))!.status;
      const later = now.conditions!.find(({ type }) => type === 'Ready')!;
      expect([later.status, later.lastTransitionTime]).to.deep.equal(['True', ready.lastTransitionTime]);
      expect(now.containerStatuses!.map(({ restartCount }) => restartCount)).to.deep.equal([0]);
    });
  }

  it('does not make a pod Ready whose application does not answer its probe', async () => {
    await stage.objects.apply(
      echo({
        namespace: NS,
        name: 'broken-probe',
        labels: { 'weft.dev/mtls': 'strict' },
        container: { readinessProbe: probe({ httpGet: { port: 8081, path: '/' } }) },
      }),
    );
    const unready = await eventually('the event of a failed probe', async () => {
      const [pod] = await stage.objects.list<PodItem>('pods', NS, 'version=broken-probe');
      const events = pod === undefined ? [] : await stage.objects.eventsAbout(NS, 'Pod', pod.metadata.name);
      return events.some(({ reason }) => reason === 'Unhealthy') && pod;
    });
    expect(unready.status.containerStatuses?.find(({ name }) => name === 'echo')?.ready).to.equal(false);
    await stage.objects.delete('deployment', 'broken-probe', NS);
  });
});

function probe(how: Record<string, unknown>): Record<string, unknown> {
  return { ...how, periodSeconds: 1, failureThreshold: 3 };
}
