// The way to the collector: OpenTelemetry's OTLP/HTTP exporter with our octets in place of its serializer. Loaded only
// where there is tracing.
import { ExportResultCode } from '@opentelemetry/core';
import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { rejectedSpans } from './export-response.ts';

/** Sends requests; each ends with the spans that the collector refused, or fails. */
export interface SpanSender {
  /**
   * @param done called once the request's octets are not read any more, which may be long after it was given up
   * @throws Error saying why the collector did not take it
   */
  send(request: Buffer, done: () => void): Promise<{ rejected: number }>;
}

/**
 * The exporter's own time-out counts silence; a collector that answers an octet now and then is given up after so much
 * more, in ms.
 */
const GRACE_MS = 5000;
/** A timer that is set to more goes off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * @param url where spans are posted to; headers, time-out, compression and certificates come from OTEL_EXPORTER_OTLP_…
 * @param concurrency requests under way at a time, at most
 */
export function createSpanSender(url: string, concurrency: number): SpanSender {
  const options = convertLegacyHttpOptions({ url, concurrencyLimit: concurrency, userAgent: 'weft' }, 'TRACES', 'v1/traces', {
    'Content-Type': 'application/x-protobuf',
  });
  /** Of the answer that is read now: the exporter reports it in the same turn. */
  let rejected = 0;
  const serializer = {
    serializeRequest: (request: Buffer): Uint8Array => request,
    deserializeResponse: (data: Uint8Array): object => {
      rejected = rejectedSpans(data);
      return {};
    },
  };
  const counting = { name: 'span' as const, countItems: () => 1 };
  const delegate = createOtlpHttpExportDelegate(options, serializer, 'otlp_http_span_exporter', counting, undefined);
  return {
    send: (request, done) =>
      new Promise((resolve, reject) => {
        const givenUpMs = Math.min(options.timeoutMillis + GRACE_MS, LONGEST_TIMER_MS);
        const timer = setTimeout(() => reject(new Error('no whole answer in time')), givenUpMs);
        delegate.export(request, ({ code, error }) => {
          clearTimeout(timer);
          done();
          const mine = rejected;
          rejected = 0;
          if (code === ExportResultCode.SUCCESS) resolve({ rejected: mine });
          else reject(error ?? new Error('not exported'));
        });
      }),
  };
}
