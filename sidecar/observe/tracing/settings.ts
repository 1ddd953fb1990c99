// Tracing's settings: OpenTelemetry's own variables
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables), as far as they apply. How to reach the
// collector (headers, timeout, compression, certificates) is read by the exporter itself, from the same environment.
import { nearest } from '#core/text/nearest.ts';
import type { Sampling } from './tracer.ts';

export interface TracingSettings {
  /**
   * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces; '': none, nothing is recorded
   * unless the control plane names one.
   */
  readonly url: string;
  /** OTEL_TRACES_SAMPLER with OTEL_TRACES_SAMPLER_ARG; default parentbased_always_on. */
  readonly sampling: Sampling;
  /** OTEL_SDK_DISABLED: there is no tracing, whatever else is set. */
  readonly disabled: boolean;
  /** OTEL_SERVICE_NAME, or service.name of OTEL_RESOURCE_ATTRIBUTES; '': the workload's name. */
  readonly serviceName: string;
  /** OTEL_RESOURCE_ATTRIBUTES but for service.name. */
  readonly resourceAttributes: Readonly<Record<string, string>>;
  /** OTEL_BSP_MAX_QUEUE_SIZE: spans that may wait; default 2048. */
  readonly maxQueue: number;
  /** OTEL_BSP_MAX_EXPORT_BATCH_SIZE: spans that leave together; default 512. */
  readonly maxBatch: number;
  /** OTEL_BSP_SCHEDULE_DELAY: how long a span waits for others, in ms; default 1000. */
  readonly delayMs: number;
}

const SAMPLERS: Readonly<Record<string, (share: number) => Sampling>> = {
  always_on: () => ({ parentBased: false, ratio: 1 }),
  always_off: () => ({ parentBased: false, ratio: 0 }),
  traceidratio: (ratio) => ({ parentBased: false, ratio }),
  parentbased_always_on: () => ({ parentBased: true, ratio: 1 }),
  parentbased_always_off: () => ({ parentBased: true, ratio: 0 }),
  parentbased_traceidratio: (ratio) => ({ parentBased: true, ratio }),
};

const DEFAULT_DELAY_MS = 1000;
/** More would be memory without end: a span has half a KiB. */
const MOST_QUEUED = 65_536;
const TRACES_PATH = 'v1/traces';

/** @returns what holds; mistakes are added to the list, one message each */
export function readTracingSettings(env: Readonly<Record<string, string | undefined>>, problems: string[]): TracingSettings {
  const number = (name: string, standard: number, least: number, most: number): number => {
    const text = (env[name] ?? '').trim();
    if (text === '') return standard;
    const value = Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    problems.push(`${name} must be a number from ${least} to ${most}, not "${text}"`);
    return standard;
  };
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  if (protocol !== 'http/protobuf')
    problems.push(`OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not "${protocol}": the collector's HTTP port is usually 4318`);
  const sampler = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const sampling = Object.hasOwn(SAMPLERS, sampler) ? SAMPLERS[sampler] : undefined;
  if (sampling === undefined) {
    problems.push(
      `OTEL_TRACES_SAMPLER must be one of ${Object.keys(SAMPLERS).join(', ')}, not "${sampler}"; nearest: ${nearest(sampler, Object.keys(SAMPLERS)) ?? 'parentbased_traceidratio'}`,
    );
  }
  const share = sampler.endsWith('traceidratio') ? number('OTEL_TRACES_SAMPLER_ARG', 1, 0, 1) : 1;
  const { 'service.name': namedService = '', ...resourceAttributes } = readAttributes(env.OTEL_RESOURCE_ATTRIBUTES ?? '', problems);
  return {
    url: readUrl(env, problems),
    sampling: (sampling ?? SAMPLERS.parentbased_always_on)(share),
    disabled: env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none',
    serviceName: env.OTEL_SERVICE_NAME || namedService,
    resourceAttributes,
    maxQueue: number('OTEL_BSP_MAX_QUEUE_SIZE', 2048, 1, MOST_QUEUED),
    maxBatch: number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, 1, MOST_QUEUED),
    delayMs: number('OTEL_BSP_SCHEDULE_DELAY', DEFAULT_DELAY_MS, 1, 3_600_000),
  };
}

/** Where spans go at a collector. @throws TypeError if it is no http or https URL */
export function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`${url.protocol} is not http: or https:`);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  url.pathname += TRACES_PATH;
  return url.href;
}

function readUrl(env: Readonly<Record<string, string | undefined>>, problems: string[]): string {
  const specific = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? '';
  const name = specific === '' ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
  const text = env[name] ?? '';
  if (text === '') return '';
  try {
    // The specific one is taken as it is (the exporter's specification).
    const url = tracesUrl(text);
    return specific === '' ? url : new URL(text).href;
  } catch {
    problems.push(`${name} must be a URL like http://collector:4318, not "${text}"`);
    return '';
  }
}

/** "key=value,…" with percent-encoded values (W3C Baggage's octets). */
function readAttributes(text: string, problems: string[]): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    const key = pair.slice(0, Math.max(at, 0)).trim();
    if (key === '') {
      problems.push(`OTEL_RESOURCE_ATTRIBUTES must be key=value pairs; "${pair.trim()}" is none`);
      continue;
    }
    const value = pair.slice(at + 1).trim();
    try {
      attributes[key] = decodeURIComponent(value);
    } catch {
      attributes[key] = value;
    }
  }
  return attributes;
}
