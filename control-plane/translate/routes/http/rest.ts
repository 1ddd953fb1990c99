// What a rule of an HTTPRoute says beside matches, filters and backends: timeouts and retries.
import { create } from '@bufbuild/protobuf';
import { type Retry, RetrySchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { fieldsOf, isAbsent, isInteger, isMap, listOf, textOf } from '#objects/fields.ts';
import type { HTTPRouteRetry, HTTPRouteRule } from '#objects/http-route.ts';
import type { RouteRule } from '#objects/route.ts';
import type { Findings } from '../findings.ts';
import { MOST_RETRY_ATTEMPTS, MOST_RETRY_CODES } from '../limits.ts';
import type { RestOfRule } from '../traits.ts';
import { judgeTogether } from './filters.ts';

/** GEP-2257. */
const DURATION = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;
const PART = /([0-9]+)(ms|h|m|s)/g;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

export function translateRest(rule: RouteRule, findings: Findings): RestOfRule {
  judgeTogether(rule, findings);
  const { timeouts, retry } = rule as HTTPRouteRule;
  if (!isAbsent(timeouts) && !isMap(timeouts)) findings.fault('timeouts', `must be a map, not ${quote(timeouts)}`);
  const { request, backendRequest } = fieldsOf(timeouts);
  const requestTimeoutMs = durationOf(request, 'timeouts.request', findings);
  const backendTimeoutMs = durationOf(backendRequest, 'timeouts.backendRequest', findings);
  if (requestTimeoutMs > 0 && backendTimeoutMs > requestTimeoutMs)
    findings.fault('timeouts', `backendRequest ${quote(backendRequest)} is longer than request ${quote(request)}`);
  return { requestTimeoutMs, backendTimeoutMs, retry: translateRetry(retry, findings) };
}

/** Milliseconds; 0: none. */
function durationOf(value: unknown, where: string, findings: Findings): number {
  if (isAbsent(value)) return 0;
  const text = textOf(value);
  if (text === undefined || !DURATION.test(text)) {
    findings.fault(where, `${quote(value)} is no duration: write it like 500ms, 10s or 1m30s`);
    return 0;
  }
  return [...text.matchAll(PART)].reduce((sum, [, count, unit]) => sum + Number(count) * UNIT_MS[unit], 0);
}

function translateRetry(retry: HTTPRouteRetry | undefined, findings: Findings): Retry | undefined {
  if (isAbsent(retry)) return undefined;
  if (!isMap(retry)) {
    findings.fault('retry', `must be a map, not ${quote(retry)}`);
    return undefined;
  }
  const { attempts: given, codes: listed, backoff } = retry as HTTPRouteRetry;
  const attempts = isAbsent(given) ? 1 : given;
  if (!isInteger(attempts, 0, MOST_RETRY_ATTEMPTS))
    findings.fault('retry', `attempts must be a number from 0 to ${MOST_RETRY_ATTEMPTS}, not ${quote(attempts)}`);
  const codes = listOf(listed, 'codes', MOST_RETRY_CODES, findings.at('retry')).flatMap((code, i) => {
    if (isInteger(code, 400, 599)) return code;
    findings.fault(`retry.codes[${i}]`, `must be an HTTP status from 400 to 599, not ${quote(code)}`);
    return [];
  });
  return create(RetrySchema, {
    attempts: isInteger(attempts, 0, MOST_RETRY_ATTEMPTS) ? attempts : 0,
    codes: [...new Set(codes)].sort((a, b) => a - b),
    backoffMs: durationOf(backoff, 'retry.backoff', findings),
  });
}
