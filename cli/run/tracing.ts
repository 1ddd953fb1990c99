// What sidecars of a run are told of tracing. Pure.
import { UsageError } from '../failure.ts';
import { httpUrl } from '../http-url.ts';

/** The value of --otlp: where the collector is, without the path of its traces. @throws UsageError with the nearest valid form */
export function otlpUrl(text: string): string {
  const url = httpUrl(text, '--otlp');
  const base = url.replace(/\/v1\/traces$/, '');
  if (base !== url) throw new UsageError(`--otlp ${JSON.stringify(text)} is the collector's URL without /v1/traces: did you mean ${base}?`);
  return url;
}

// With --otlp these would send the traces elsewhere or nowhere.
const AGAINST_OTLP = new Set(['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_SDK_DISABLED']);

/**
 * The environment of a sidecar: the user's OTEL_ settings, with --otlp in their place. One OTEL_SERVICE_NAME would be that of all workloads: it is
 * left out, their own names hold.
 * @param otlp null: what the environment says
 */
export function tracingVariables(base: Readonly<Record<string, string>>, otlp: string | null): Record<string, string> {
  const kept = Object.entries(base).filter(([name]) => name !== 'OTEL_SERVICE_NAME' && !(otlp !== null && AGAINST_OTLP.has(name)));
  const variables = Object.fromEntries(kept);
  if (otlp === null) return variables;
  return { OTEL_TRACES_SAMPLER: 'parentbased_always_on', ...variables, OTEL_EXPORTER_OTLP_ENDPOINT: otlp };
}
