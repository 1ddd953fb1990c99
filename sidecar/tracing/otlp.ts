// The way to the collector: OpenTelemetry's OTLP/HTTP exporter with our octets in place of its serializer. Loaded only where there is tracing.
import { ExportResultCode } from '@opentelemetry/core';
import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';

/** Sends requests; each ends with the spans that the collector refused, or fails. */
export interface SpanSender {
  /** @throws Error saying why the collector did not take it */
  send(request: Buffer): Promise<{ rejected: number }>;
}

/** The exporter's own time-out counts silence; a collector that answers an octet now and then is given up after so much more, in ms. */
const GRACE_MS = 5000;

/**
 * @param url where spans are posted to; headers, time-out, compression and certificates come from OTEL_EXPORTER_OTLP_…
 * @param concurrency requests under way at a time, at most
 */
export function createSpanSender(url: string, concurrency: number): SpanSender {
  const options = convertLegacyHttpOptions({ url, concurrencyLimit: concurrency, userAgent: 'weft' }, 'TRACES', 'v1/traces', {
    'Content-Type': 'application/x-protobuf',
  });
  let rejected = 0;
  const serializer = {
    serializeRequest: (request: Buffer): Uint8Array => request,
    deserializeResponse: (data: Uint8Array) => {
      const response = ProtobufTraceSerializer.deserializeResponse(data);
      rejected += Number(response.partialSuccess?.rejectedSpans ?? 0);
      return response;
    },
  };
  const counting = { name: 'span' as const, countItems: () => 1 };
  const delegate = createOtlpHttpExportDelegate(options, serializer, 'otlp_http_span_exporter', counting, undefined);
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no whole answer in time')), options.timeoutMillis + GRACE_MS);
        const before = rejected;
        delegate.export(request, ({ code, error }) => {
          clearTimeout(timer);
          if (code === ExportResultCode.SUCCESS) resolve({ rejected: rejected - before });
          else reject(error ?? new Error('not exported'));
        });
      }),
  };
}
