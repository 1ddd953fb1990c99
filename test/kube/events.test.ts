// Events: written once, counted when repeated, bounded, and never in anyone's way.
import { expect } from 'chai';
import { silentLogger } from '#core/program/log.ts';
import { type KubeClient, KubeError, type ResourcePath } from '#kube/api.ts';
import { type EventContent, EventRecorder } from '#kube/events.ts';
import { ManualTimers } from '../support/manual-timers.ts';

interface Written {
  readonly method: string;
  readonly path: ResourcePath;
  readonly body: Record<string, unknown>;
}

function nameOf({ body }: Written): string {
  return (body.metadata as { name: string }).name;
}

const CONTENT: EventContent = {
  regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'payment-1', uid: 'u' },
  type: 'Warning',
  reason: 'NotInjected',
  message: 'the pod uses the network of its node',
};

describe('kube events', () => {
  let timers: ManualTimers;
  let written: Written[];
  let refusals: KubeError[];
  let recorder: EventRecorder;

  beforeEach(() => {
    timers = new ManualTimers(Date.UTC(2026, 0, 1));
    written = [];
    refusals = [];
    const client = {
      server: 'memory',
      request: async (method: string, path: ResourcePath, { body }: { body: Record<string, unknown> }) => {
        written.push({ method, path, body });
        const refusal = refusals.shift();
        if (refusal !== undefined) throw refusal;
        return {};
      },
      watch: () => Promise.reject(new Error('no caller watches')),
    } as unknown as KubeClient;
    recorder = new EventRecorder({ client, component: 'weft-injector', timers, log: silentLogger });
  });

  async function pass(ms: number): Promise<void> {
    for (let gone = 0; gone <= ms; gone += 100) {
      for (let i = 0; i < 10; i++) await Promise.resolve();
      timers.advance(100);
    }
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }

  it('writes what kubectl describe shows, in the namespace of the object', async () => {
    recorder.record(CONTENT);
    await pass(200);
    expect(written).to.have.length(1);
    const [{ method, path, body }] = written;
    expect(method).to.equal('POST');
    expect(path.namespace).to.equal('shop');
    expect(nameOf(written[0])).to.match(/^payment-1\.[0-9a-f]{16}$/);
    expect(body).to.deep.include({
      involvedObject: CONTENT.regarding,
      type: 'Warning',
      reason: 'NotInjected',
      message: CONTENT.message,
      source: { component: 'weft-injector' },
      firstTimestamp: '2026-01-01T00:00:00Z',
      count: 1,
    });
  });

  it('a cluster-wide object: namespace default; names and messages within the limits of the API', async () => {
    recorder.record({ ...CONTENT, regarding: { kind: 'Namespace', name: 'N:x'.repeat(200) }, message: 'm'.repeat(5000) });
    await pass(200);
    expect(written[0].path.namespace).to.equal('default');
    expect(nameOf(written[0]))
      .to.match(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/)
      .and.have.length.at.most(253);
    expect(written[0].body.message).to.have.length(1024);
  });

  it('equal events within ten minutes are one that counts, written at most each ten seconds', async () => {
    for (let i = 0; i < 100; i++) {
      recorder.record(CONTENT);
      await pass(200);
    }
    await pass(10_000);
    expect(written.map(({ method }) => method)).to.deep.equal(['POST', ...written.slice(1).map(() => 'PATCH')]);
    expect(written.length).to.be.within(3, 6);
    expect(written.at(-1)!.body.count).to.equal(100);
    expect(written.at(-1)!.path.name).to.equal(nameOf(written[0]));
    await pass(600_000);
    recorder.record(CONTENT);
    await pass(200);
    expect(written.at(-1)!.method).to.equal('POST');
    expect(written.at(-1)!.body.count).to.equal(1);
  });

  it('an event that expired in the API is written anew', async () => {
    recorder.record(CONTENT);
    await pass(20_000);
    refusals.push(new KubeError('gone', 404, 'NotFound'));
    recorder.record(CONTENT);
    await pass(20_000);
    expect(written.map(({ method }) => method)).to.deep.equal(['POST', 'PATCH', 'POST']);
    expect(written[2].body.count).to.equal(2);
  });

  it('an event whose answer was lost is not written twice', async () => {
    refusals.push(new KubeError('no answer', 0, 'Timeout'), new KubeError('exists', 409, 'AlreadyExists'));
    recorder.record(CONTENT);
    await pass(20_000);
    expect(written.map(({ method }) => method)).to.deep.equal(['POST', 'POST']);
    expect(nameOf(written[1])).to.equal(nameOf(written[0]));
    recorder.record(CONTENT);
    await pass(20_000);
    expect(written.at(-1)!).to.have.property('method', 'PATCH');
    expect(written.at(-1)!.path.name).to.equal(nameOf(written[0]));
    expect(recorder.dropped).to.equal(0);
  });

  it('gives up also where the event has expired and the server is unwell', async () => {
    recorder.record(CONTENT);
    await pass(20_000);
    const unwell = (): KubeError => new KubeError('x', 500, 'InternalError');
    refusals.push(unwell(), unwell(), new KubeError('gone', 404, 'NotFound'), ...Array.from({ length: 20 }, unwell));
    recorder.record(CONTENT);
    await pass(60_000);
    expect(recorder.dropped).to.equal(1);
    expect(written).to.have.length(5);
  });

  it('a flood is bounded, and what is left out is counted', async () => {
    for (let i = 0; i < 1000; i++) recorder.record({ ...CONTENT, message: `number ${i}` });
    await pass(60_000);
    expect(written.length + recorder.dropped).to.equal(1000);
    expect(written.length).to.be.within(256, 258);
  });

  it('tries a server that is unwell three times; a refusal is taken at its word', async () => {
    refusals.push(new KubeError('x', 0, 'ECONNREFUSED'), new KubeError('x', 500, 'InternalError'));
    recorder.record(CONTENT);
    await pass(10_000);
    expect(written).to.have.length(3);
    expect(recorder.dropped).to.equal(0);
    refusals.push(new KubeError('x', 403, 'Forbidden'));
    recorder.record({ ...CONTENT, message: 'other' });
    await pass(10_000);
    expect(written).to.have.length(4);
    expect(recorder.dropped).to.equal(1);
    refusals.push(...[1, 2, 3].map(() => new KubeError('x', 0, 'ECONNREFUSED')));
    recorder.record({ ...CONTENT, message: 'third' });
    recorder.record({ ...CONTENT, message: 'fourth' });
    await pass(20_000);
    expect(written).to.have.length(8);
    expect(recorder.dropped).to.equal(2);
  });
});
