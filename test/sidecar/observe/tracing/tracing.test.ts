// Tracing as the control plane changes it: where spans go, and what becomes of those that wait.
import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { TelemetrySchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { silentLogger } from '#core/program/log.ts';
import { RandomWords } from '#sidecar/observe/tracing/ids.ts';
import { readTracingSettings } from '#sidecar/observe/tracing/settings.ts';
import { MAX_EXPORTS } from '#sidecar/observe/tracing/span-exporter.ts';
import { Tracing } from '#sidecar/observe/tracing/tracing.ts';
import { decodeSpans } from '../../../support/collector.ts';
import { endedCall } from '../../../support/ended-call.ts';
import { until } from '../../../support/until.ts';

/** Collectors by URL that answer when they are told to. */
class Collectors {
  readonly spans: Record<string, number> = {};
  readonly dropped: Record<string, number> = {};
  readonly logged: string[] = [];
  private waiting: ((error: Error | null) => void)[] = [];
  readonly tracing: Tracing;

  constructor(env: Readonly<Record<string, string>>) {
    this.tracing = new Tracing({
      settings: readTracingSettings(env, []),
      now: () => performance.now(),
      wallClock: Date.now,
      random: new RandomWords(randomBytes(16)),
      version: 'test',
      workload: () => ({ namespace: 'shop', pod: 'checkout-x', name: 'checkout' }),
      counters: {
        exported: () => {},
        dropped: (reason, spans) => {
          this.dropped[reason] = (this.dropped[reason] ?? 0) + spans;
        },
      },
      load: async (url) => ({
        send: (request, done) => {
          this.spans[url] = (this.spans[url] ?? 0) + decodeSpans(request).length;
          return new Promise((resolve, reject) => {
            this.waiting.push((error) => {
              done();
              if (error === null) resolve({ rejected: 0 });
              else reject(error);
            });
          });
        },
      }),
      log: { ...silentLogger, info: (_message, fields) => void this.logged.push(`${fields?.url}`) },
    });
  }

  goTo(otlpEndpoint: string): void {
    this.tracing.take(create(TelemetrySchema, { otlpEndpoint }));
  }

  record(calls: number): void {
    const { tracer, spans } = this.tracing.inForce!;
    for (let i = 0; i < calls; i++) {
      const call = endedCall();
      spans.ended({ ...call, trace: tracer.begin(call.block, null) });
    }
  }

  /** Ends the requests that are under way. */
  answer(error: Error | null = null): void {
    for (const answer of this.waiting.splice(0)) answer(error);
  }
}

const FIRST = 'http://first:4318';
const SECOND = 'http://second:4318';
const URL_OF = (endpoint: string): string => `${endpoint}/v1/traces`;

describe('tracing', () => {
  let collectors: Collectors;

  beforeEach(() => {
    collectors = new Collectors({ OTEL_EXPORTER_OTLP_ENDPOINT: FIRST, OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10' });
  });

  afterEach(async () => {
    const stopped = collectors.tracing.stop();
    collectors.answer();
    await stopped;
  });

  it('sends to a new collector what ends from then on, and what waits to the one that was', async () => {
    collectors.record((MAX_EXPORTS + 1) * 10 + 5);
    await until(() => collectors.spans[URL_OF(FIRST)] === MAX_EXPORTS * 10, 'as many requests as may be are under way');
    collectors.goTo(SECOND);
    collectors.record(10);
    await until(() => collectors.spans[URL_OF(SECOND)] === 10, 'the new one has its spans');
    collectors.answer();
    await until(() => collectors.spans[URL_OF(FIRST)] === (MAX_EXPORTS + 1) * 10 + 5, 'the old one has the rest');
    collectors.record(10);
    await until(() => collectors.spans[URL_OF(SECOND)] === 20, 'the new one goes on');
    expect(collectors.spans[URL_OF(FIRST)]).to.equal((MAX_EXPORTS + 1) * 10 + 5);
  });

  it('writes the password of its collector nowhere', () => {
    const { logged } = new Collectors({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://weft:secret@first:4318' });
    expect(logged).to.deep.equal(['http://weft:***@first:4318/v1/traces']);
  });

  it('counts what waited for a collector that was away and is not wanted any more', async () => {
    collectors.record((MAX_EXPORTS + 2) * 10);
    await until(() => collectors.spans[URL_OF(FIRST)] === MAX_EXPORTS * 10, 'as many requests as may be are under way');
    collectors.goTo('off');
    expect(collectors.tracing.inForce).to.equal(null);
    await until(() => {
      collectors.answer(new Error('away'));
      return collectors.dropped.export_failed === (MAX_EXPORTS + 2) * 10;
    }, 'all of them are counted');
  });
});
