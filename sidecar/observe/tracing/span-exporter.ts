// Sends batches of spans to the collector while calls go on: so many at a time, the rest waits in the queue or is
// dropped and counted.
import type { Logger } from '#core/program/log.ts';
import { keyValue } from './attributes.ts';
import type { SpanSender } from './otlp.ts';
import { lengthField, stringField } from './protobuf.ts';
import { type Batch, MAX_PREFIX_OCTETS, type SpanQueue } from './span-queue.ts';

/** Fields of opentelemetry.proto. */
const RESOURCE = 1; // of ResourceSpans
const RESOURCE_ATTRIBUTES = 1;
const SCOPE = 1; // of ScopeSpans
const SCOPE_NAME = 1;
const SCOPE_VERSION = 2;

/** Requests under way at a time: one would wait for its answer while the queue fills. */
export const MAX_EXPORTS = 4;
/** A collector that is away is logged at most so often, in ms. */
const COMPLAIN_MS = 60_000;

export interface ExportCounters {
  exported(spans: number): void;
  dropped(reason: 'export_failed' | 'rejected', spans: number): void;
}

export interface SpanExporterDeps {
  readonly queue: SpanQueue;
  /** Makes a sender; called when the first span is to be sent. */
  readonly load: () => Promise<SpanSender>;
  /** Attributes of what the spans are of; read for each request. */
  readonly resource: () => Readonly<Record<string, string>>;
  readonly version: string;
  /** Where the spans go, for the log. */
  readonly url: string;
  readonly counters: ExportCounters;
  readonly now: () => number;
  readonly log: Logger;
}

export class SpanExporter {
  private readonly deps: SpanExporterDeps;
  private readonly scope: Buffer;
  private sender: SpanSender | null = null;
  private loading: Promise<void> | null = null;
  private readonly underWay = new Set<Promise<void>>();
  /** The last request failed. */
  private failing = false;
  /** A failure was logged, and its end was not yet. */
  private complained = false;
  private complainedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: SpanExporterDeps) {
    this.deps = deps;
    this.scope = lengthField(SCOPE, Buffer.concat([stringField(SCOPE_NAME, 'weft'), stringField(SCOPE_VERSION, deps.version)]));
  }

  /** Sends full batches. @param partial also the one that is not full */
  pump(partial: boolean): void {
    if (this.deps.queue.length === 0) return;
    if (this.sender === null) return this.load();
    while (this.underWay.size < MAX_EXPORTS) {
      const batch = this.deps.queue.take(partial);
      if (batch === null) return;
      const sending = this.send(this.sender, batch);
      this.underWay.add(sending);
      void sending.then(() => {
        this.underWay.delete(sending);
        this.pump(false);
      });
    }
  }

  /** Sends all spans; resolves when they have left, or after so many ms. */
  async flush(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([late, this.drain()]);
    clearTimeout(timer);
  }

  /** No more spans come: those that wait are sent, or counted as dropped. */
  async retire(): Promise<void> {
    await this.drain();
    const { queue, counters } = this.deps;
    if (queue.length > 0) counters.dropped('export_failed', queue.length);
  }

  private async drain(): Promise<void> {
    this.pump(true);
    await this.loading;
    do {
      this.pump(true);
      await Promise.all(this.underWay);
    } while (this.deps.queue.length > 0 && this.sender !== null && !this.failing);
  }

  private load(): void {
    const { load, log } = this.deps;
    this.loading ??= load().then(
      (sender) => {
        this.sender = sender;
        this.pump(false);
      },
      (error: Error) => log.error('the span exporter cannot be loaded: nothing is exported', { error: error.message }),
    );
  }

  private async send(sender: SpanSender, batch: Batch): Promise<void> {
    const { queue, counters } = this.deps;
    const { spans } = batch;
    try {
      const answer = await sender.send(batch.request(this.resource(), this.scope), () => queue.giveBack(batch));
      // A collector may report more than it got.
      const rejected = answer.rejected > 0 ? Math.min(answer.rejected, spans) : 0;
      counters.exported(spans - rejected);
      if (rejected > 0) counters.dropped('rejected', rejected);
      this.logOutcome(null, spans);
    } catch (error) {
      counters.dropped('export_failed', spans);
      this.logOutcome(error as Error, spans);
    }
  }

  private resource(): Buffer {
    const encode = (attributes: Readonly<Record<string, string>>): Buffer =>
      lengthField(
        RESOURCE,
        Buffer.concat(Object.entries(attributes).map(([key, value]) => lengthField(RESOURCE_ATTRIBUTES, keyValue(key, value)))),
      );
    const attributes = this.deps.resource();
    const whole = encode(attributes);
    if (whole.length + this.scope.length <= MAX_PREFIX_OCTETS) return whole;
    return encode({ 'service.name': attributes['service.name'] ?? 'unknown_service' });
  }

  /** Logs when the collector goes away and when it is back, not each request. */
  private logOutcome(error: Error | null, spans: number): void {
    const { log, now, url } = this.deps;
    if (error === null) {
      if (this.complained) log.info('spans are exported again', { url });
      this.failing = false;
      this.complained = false;
      return;
    }
    this.failing = true;
    if (now() - this.complainedAtMs < COMPLAIN_MS) return;
    this.complained = true;
    this.complainedAtMs = now();
    log.warn('spans are not exported; traffic is not affected', { url, spans, error: reasonOf(error) });
  }
}

function reasonOf(error: Error): string {
  const { code } = error as { code?: unknown };
  return error.message === '' ? String(code ?? error.name) : typeof code === 'number' ? `HTTP ${code} ${error.message}` : error.message;
}
