// Tracing as a whole: it is on while there is a collector. The tracer decides, the recorder records, the exporter
// sends; the control plane changes collector, share and attributes.
import type { Telemetry } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/program/log.ts';
import type { CallObserver } from '../../forward/ended-call.ts';
import type { CallTracer } from '../../forward/trace.ts';
import type { RandomWords } from './ids.ts';
import type { SpanSender } from './otlp.ts';
import { type TracingSettings, tracesUrl } from './settings.ts';
import { type ExportCounters, SpanExporter } from './span-exporter.ts';
import { SpanQueue } from './span-queue.ts';
import { SpanRecorder } from './span-recorder.ts';
import { Tracer } from './tracer.ts';
import { unixOffset } from './unix-offset.ts';

/** The last spans of a sidecar that stops have so long to leave, in ms. */
const FLUSH_MS = 2000;

export interface TracingDeps {
  readonly settings: TracingSettings;
  /** Monotonic and Unix ms. */
  readonly now: () => number;
  readonly wallClock: () => number;
  readonly random: RandomWords;
  readonly version: string;
  /** The pod, for the resource; name: '' until the control plane has said it. */
  readonly workload: () => { readonly namespace: string; readonly pod: string; readonly name: string };
  readonly counters: Omit<ExportCounters, 'dropped'> & { dropped(reason: string, spans: number): void };
  readonly load: (url: string) => Promise<SpanSender>;
  readonly log: Logger;
}

/** Telemetry.otlp_endpoint that switches tracing off. */
const OFF = 'off';

/** While there is a collector: what decides about each call, and what takes those that are recorded. */
export interface TracingInForce {
  readonly tracer: CallTracer;
  readonly spans: CallObserver;
}

export class Tracing {
  private readonly deps: TracingDeps;
  private readonly tracer: Tracer;
  private readonly recorder: SpanRecorder;
  private url = '';
  private exporter: SpanExporter | null = null;
  private serviceName = '';
  private timer: NodeJS.Timeout | null = null;

  constructor(deps: TracingDeps) {
    const { settings, counters } = deps;
    this.deps = deps;
    this.tracer = new Tracer(settings.sampling, deps.random);
    this.recorder = new SpanRecorder(this.newQueue(), (reason) => counters.dropped(reason, 1));
    this.use(settings.url);
  }

  /** null: there is no collector. */
  get inForce(): TracingInForce | null {
    return this.exporter === null ? null : { tracer: this.tracer, spans: this.recorder };
  }

  /** Takes what the control plane says; absent parts are as the sidecar was started. */
  take(telemetry: Telemetry | undefined): void {
    const { settings, log } = this.deps;
    this.tracer.setShare(telemetry?.traceSampling ?? null);
    const leftOut = this.recorder.setAttributes(telemetry?.attributes ?? {});
    if (leftOut.length > 0) log.warn('spans have no room for these attributes', { attributes: leftOut.join(', ') });
    this.serviceName = telemetry?.serviceName ?? '';
    const endpoint = telemetry?.otlpEndpoint ?? '';
    if (endpoint === '') return this.use(settings.url);
    if (endpoint === OFF) return this.use('');
    try {
      this.use(tracesUrl(endpoint));
    } catch (error) {
      log.error('the collector that the control plane names is not used', { endpoint, error: (error as Error).message });
    }
  }

  /** Sends the last spans. */
  async stop(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    await this.exporter?.flush(FLUSH_MS);
  }

  private use(url: string): void {
    const { settings, now, log, version, counters, load } = this.deps;
    if (settings.disabled || url === this.url) return;
    this.url = url;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    // Spans that wait go to the collector they were recorded for; the next one begins with nothing.
    void this.exporter?.retire();
    this.exporter = null;
    if (url === '') return log.info('tracing is off');
    const shown = withoutPassword(url);
    log.info('tracing', { url: shown, parent_based: settings.sampling.parentBased, share: settings.sampling.ratio });
    const resource = (): Record<string, string> => this.resource();
    const queue = this.newQueue();
    this.recorder.queue = queue;
    this.exporter = new SpanExporter({ queue, load: () => load(url), resource, version, url: shown, counters, now, log });
    this.setOffset();
    this.timer = setInterval(() => {
      this.setOffset();
      this.exporter?.pump(true);
    }, settings.delayMs).unref();
  }

  private newQueue(): SpanQueue {
    const { maxQueue, maxBatch } = this.deps.settings;
    return new SpanQueue(maxQueue, maxBatch, () => this.exporter?.pump(false));
  }

  /** Follows the wall clock, which can be set while the monotonic one runs on. */
  private setOffset(): void {
    this.recorder.unixOffsetMs = unixOffset(this.deps.wallClock, this.deps.now, performance.timeOrigin);
  }

  private resource(): Record<string, string> {
    const { settings, version } = this.deps;
    const { namespace, pod, name } = this.deps.workload();
    return {
      'service.name': this.serviceName || settings.serviceName || name || pod || 'unknown_service',
      'service.namespace': namespace,
      'k8s.namespace.name': namespace,
      'k8s.pod.name': pod,
      'weft.version': version,
      ...settings.resourceAttributes,
    };
  }
}

/** A URL as logs may show it. */
function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}
