// The tracing settings that a run hands to its sidecars. Pure.

import { UsageError } from '#core/program/failure.ts';
import { httpUrl } from '#core/program/http-url.ts';
import { readTracingSettings } from '#sidecar/observe/tracing/settings.ts';

/**
 * The value of --otlp: where the collector is, without the path of its traces.
 * @throws UsageError with the nearest valid form
 */
export function otlpUrl(text: string): string {
  const url = httpUrl(text, '--otlp');
  const base = url.replace(/\/v1\/traces$/, '');
  if (base !== url) throw new UsageError(`--otlp ${JSON.stringify(text)} is the collector's URL without /v1/traces: did you mean ${base}?`);
  return url;
}

// With --otlp these would send the traces elsewhere or nowhere.
const AGAINST_OTLP = new Set([
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_PROTOCOL',
  'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
  'OTEL_TRACES_EXPORTER',
  'OTEL_SDK_DISABLED',
]);

/**
 * The environment of a sidecar: the user's OTEL_ settings, with --otlp in their place. Settings that a sidecar would
 * refuse are left out, because they may be meant for other programs. OTEL_SERVICE_NAME would name all workloads alike:
 * it is left out, so that their own names hold.
 * @param otlp null: what the environment says
 */
export function tracingVariables(base: Readonly<Record<string, string>>, otlp: string | null): Record<string, string> {
  const variables = wantedVariables(base, otlp);
  if (problemsOf(variables).length === 0) return variables;
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !name.startsWith('OTEL_')));
}

/** What sidecars could not use of the user's OTEL_ settings, with the nearest valid forms. */
export function tracingProblems(base: Readonly<Record<string, string | undefined>>, otlp: string | null): string[] {
  return problemsOf(wantedVariables(base, otlp));
}

function problemsOf(variables: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  readTracingSettings(variables, problems);
  return problems;
}

function wantedVariables<T extends string | undefined>(base: Readonly<Record<string, T>>, otlp: string | null): Record<string, T | string> {
  const kept = Object.entries(base).flatMap(([name, value]): [string, T | string][] => {
    if (name === 'OTEL_SERVICE_NAME' || (otlp !== null && AGAINST_OTLP.has(name))) return [];
    return [[name, name === 'OTEL_RESOURCE_ATTRIBUTES' ? withoutServiceName(value ?? '') : value]];
  });
  const variables = Object.fromEntries(kept);
  if (otlp === null) return variables;
  return { OTEL_TRACES_SAMPLER: 'parentbased_always_on', ...variables, OTEL_EXPORTER_OTLP_ENDPOINT: otlp };
}

/** @param attributes "key=value,…" */
function withoutServiceName(attributes: string): string {
  const pairs = attributes.split(',');
  return pairs.filter((pair) => !/^\s*service\.name\s*=/.test(pair)).join(',');
}
