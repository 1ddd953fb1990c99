import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { silentLogger } from '#core/program/log.ts';
import { RandomWords } from '#sidecar/observe/tracing/ids.ts';
import { createSpanSender, type SpanSender } from '#sidecar/observe/tracing/otlp.ts';
import { MAX_EXPORTS, SpanExporter } from '#sidecar/observe/tracing/span-exporter.ts';
import { SpanQueue } from '#sidecar/observe/tracing/span-queue.ts';
import { SpanRecorder } from '#sidecar/observe/tracing/span-recorder.ts';
import { Tracer } from '#sidecar/observe/tracing/tracer.ts';
import { Collector } from '../../../support/collector.ts';
import { endedCall } from '../../../support/ended-call.ts';
import { freePorts } from '../../../support/free-port.ts';
import { until } from '../../../support/until.ts';

/** Spans recorded here and sent there. */
class Sending {
  readonly dropped: Record<string, number> = {};
  exported = 0;
  readonly warnings: string[] = [];
  readonly infos: string[] = [];
  readonly exporter: SpanExporter;
  private readonly recorder: SpanRecorder;
  private readonly tracer = new Tracer({ parentBased: true, ratio: 1 }, new RandomWords(randomBytes(16)));

  constructor(
    endpoint: string,
    {
      maxQueue = 2048,
      maxBatch = 512,
      load = async (): Promise<SpanSender> => createSpanSender(`${endpoint}/v1/traces`, MAX_EXPORTS),
    } = {},
  ) {
    const dropped = (reason: string, spans: number): void => {
      this.dropped[reason] = (this.dropped[reason] ?? 0) + spans;
    };
    const queue = new SpanQueue(maxQueue, maxBatch, () => this.exporter.pump(false));
    this.recorder = new SpanRecorder(queue, (reason) => dropped(reason, 1));
    this.exporter = new SpanExporter({
      queue,
      load,
      resource: () => ({ 'service.name': 'checkout' }),
      version: 'test',
      url: endpoint,
      counters: {
        exported: (spans) => {
          this.exported += spans;
        },
        dropped,
      },
      now: () => performance.now(),
      log: { ...silentLogger, warn: (message) => void this.warnings.push(message), info: (message) => void this.infos.push(message) },
    });
  }

  record(calls: number): void {
    for (let i = 0; i < calls; i++) {
      const call = endedCall();
      this.recorder.ended({ ...call, trace: this.tracer.begin(call.block, null) });
    }
  }
}

describe('span exporter', () => {
  let collector: Collector;

  beforeEach(async () => {
    collector = await Collector.start();
  });

  afterEach(() => collector.close());

  it('sends full batches at once, and the rest when it is asked to', async () => {
    const sending = new Sending(collector.endpoint, { maxBatch: 100 });
    sending.record(250);
    await until(() => collector.spans.length === 200, 'the full batches have arrived');
    await sending.exporter.flush(5000);
    expect([collector.spans.length, sending.exported, sending.dropped]).to.deep.equal([250, 250, {}]);
    expect(collector.requests[0]).to.include({ ':path': '/v1/traces', 'content-type': 'application/x-protobuf' });
    expect(collector.spans[0].resource).to.deep.equal({ 'service.name': 'checkout' });
  });

  it('sends a batch that is full of octets at once, too', async () => {
    const sending = new Sending(collector.endpoint, { maxQueue: 5000, maxBatch: 5000 });
    sending.record(2500);
    await until(() => collector.spans.length > 1000, 'a batch has left that nobody asked for');
  });

  it('counts what a collector refuses, answers with an error, or answers unintelligibly', async () => {
    const sending = new Sending(collector.endpoint);
    for (const [behaviour, exported, dropped] of [
      ['reject-one', 9, { rejected: 1 }],
      ['fail', 9, { rejected: 1, export_failed: 10 }],
      ['garbage', 19, { rejected: 1, export_failed: 10 }],
      ['take', 29, { rejected: 1, export_failed: 10 }],
      ['reject-hundred', 29, { rejected: 11, export_failed: 10 }],
    ] as const) {
      collector.behaviour = behaviour;
      sending.record(10);
      await sending.exporter.flush(5000);
      expect([sending.exported, sending.dropped], behaviour).to.deep.equal([exported, dropped]);
    }
    expect(sending.warnings).to.have.length(1);
  });

  it('says once that the collector is away, and once that it is back, though it comes and goes', async () => {
    const sending = new Sending(collector.endpoint);
    for (let i = 0; i < 5; i++) {
      for (const behaviour of ['fail', 'take'] as const) {
        collector.behaviour = behaviour;
        sending.record(1);
        await sending.exporter.flush(5000);
      }
    }
    expect([sending.exported, sending.warnings.length, sending.infos.length]).to.deep.equal([5, 1, 1]);
  });

  it('counts what is refused once, however many requests are under way', async () => {
    collector.behaviour = 'reject-one';
    const sending = new Sending(collector.endpoint, { maxBatch: 10 });
    sending.record(10 * MAX_EXPORTS);
    await sending.exporter.flush(5000);
    expect([sending.exported, sending.dropped]).to.deep.equal([9 * MAX_EXPORTS, { rejected: MAX_EXPORTS }]);
  });

  it('loads what sends when there is a span, and ends a flush that comes before it is there', async () => {
    let loads = 0;
    const load = async (): Promise<SpanSender> => {
      loads++;
      await new Promise((resolve) => setImmediate(resolve));
      return createSpanSender(`${collector.endpoint}/v1/traces`, MAX_EXPORTS);
    };
    const sending = new Sending(collector.endpoint, { load });
    sending.exporter.pump(true);
    expect(loads).to.equal(0);
    sending.record(3);
    await sending.exporter.flush(5000);
    expect([loads, collector.spans.length, sending.exported]).to.deep.equal([1, 3, 3]);
  });

  it('ends a flush when what sends cannot be loaded', async () => {
    const sending = new Sending(collector.endpoint, { load: () => Promise.reject(new Error('not there')) });
    sending.record(3);
    await sending.exporter.flush(5000);
    expect(sending.exported).to.equal(0);
  });

  it('writes no other spans into a request that is given up but may still be sent', async () => {
    const requests: Buffer[] = [];
    const dones: (() => void)[] = [];
    const send = (request: Buffer, done: () => void): Promise<never> => {
      requests.push(request);
      dones.push(done);
      return Promise.reject(new Error('no whole answer in time'));
    };
    const sending = new Sending(collector.endpoint, { maxBatch: 1, load: async () => ({ send }) });
    const sendOne = async (): Promise<ArrayBufferLike> => {
      sending.record(1);
      await sending.exporter.flush(5000);
      return requests.at(-1)!.buffer;
    };
    const first = await sendOne();
    const asItWas = Buffer.from(requests[0]);
    expect(await sendOne()).to.not.equal(first);
    expect(requests[0].equals(asItWas)).to.equal(true);
    dones[0]();
    expect(await sendOne()).to.equal(first);
  });

  it('holds no more than may wait while a collector hangs, and drops the rest', async () => {
    collector.behaviour = 'hang';
    const sending = new Sending(collector.endpoint, { maxQueue: 200, maxBatch: 50 });
    sending.record(50);
    await until(() => collector.requests.length === 1, 'the first request is there');
    sending.record(5000);
    await until(() => collector.requests.length === MAX_EXPORTS, 'all requests are under way');
    sending.record(5000);
    expect(sending.dropped.queue_full).to.be.at.least(10_050 - (MAX_EXPORTS + 1) * 50 - 200);
    expect(sending.exported).to.equal(0);
  });

  it('ends a flush at its time though the collector hangs', async () => {
    collector.behaviour = 'hang';
    const sending = new Sending(collector.endpoint, { maxBatch: 1 });
    sending.record(MAX_EXPORTS + 3);
    await sending.exporter.flush(50);
    expect([sending.exported, sending.dropped]).to.deep.equal([0, {}]);
  });

  it('waits for a collector that is not there yet', async () => {
    const [port] = await freePorts(1);
    const sending = new Sending(`http://127.0.0.1:${port}`);
    sending.record(3);
    await sending.exporter.flush(50);
    expect([sending.exported, sending.dropped]).to.deep.equal([0, {}]);
  });
});
