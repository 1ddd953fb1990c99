// Tracing as a whole: on while somebody names a collector. Who decides (tracer), who records, who sends, and what the control plane changes of it.
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

export interface TracingContext {
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

/** Telemetry.otlp_endpoint where there shall be no tracing. */
const OFF = 'off';

/** While there is a collector: what calls are given, and what hears of those that are recorded. */
export interface TracingInForce {
  readonly tracer: CallTracer;
  readonly spans: CallObserver;
}

export class Tracing {
  private readonly context: TracingContext;
  private readonly tracer: Tracer;
  private readonly recorder: SpanRecorder;
  private url = '';
  private exporter: SpanExporter | null = null;
  private serviceName = '';
  private timer: NodeJS.Timeout | null = null;

  constructor(context: TracingContext) {
    const { settings, counters } = context;
    this.context = context;
    this.tracer = new Tracer(settings.sampling, context.random);
    this.recorder = new SpanRecorder(this.newQueue(), (reason) => counters.dropped(reason, 1));
    this.use(settings.url);
  }

  /** null: nobody wants spans. */
  get inForce(): TracingInForce | null {
    return this.exporter === null ? null : { tracer: this.tracer, spans: this.recorder };
  }

  /** Takes what the control plane says; absent parts are as the sidecar was started. */
  take(telemetry: Telemetry | undefined): void {
    const { settings, log } = this.context;
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

  /** The last spans leave. */
  async stop(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    await this.exporter?.flush(FLUSH_MS);
  }

  private use(url: string): void {
    const { settings, now, log, version, counters, load } = this.context;
    if (settings.disabled || url === this.url) return;
    this.url = url;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    // What waits goes where it was meant to; the next collector begins with nothing.
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
    const { maxQueue, maxBatch } = this.context.settings;
    return new SpanQueue(maxQueue, maxBatch, () => this.exporter?.pump(false));
  }

  /** Unix time runs otherwise than the monotonic clock when somebody sets it. */
  private setOffset(): void {
    this.recorder.unixOffsetMs = unixOffset(this.context.wallClock, this.context.now, performance.timeOrigin);
  }

  private resource(): Record<string, string> {
    const { settings, version } = this.context;
    const { namespace, pod, name } = this.context.workload();
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
