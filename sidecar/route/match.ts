// Which rule serves a request: the first candidate, best first, all of whose parts hold (Gateway API precedence is in
// their order).
import type { Bucket, Candidate, CompiledTable, HeaderList, HeaderTest, RuleRecord } from './records.ts';

const SET_COOKIE = 'set-cookie';

/**
 * Finds the rule that serves a request; null: the caller answers UNIMPLEMENTED or 404, never the fallback (GEP-1294).
 * The gRPC service and method are what stands before and after the last slash of ":path", as gRPC servers split it; a
 * path of another form meets only matches that ask neither.
 */
export function findRule(table: CompiledTable, headers: HeaderList): RuleRecord | null {
  const found = findCandidate(table, headers);
  return found < 0 ? null : table.candidates[found].rule;
}

/** Like findRule(), but gives the index of the candidate that won; -1: none. */
export function findCandidate(table: CompiledTable, headers: HeaderList): number {
  const path = headerValue(headers, ':path') ?? '';
  const slash = methodSlash(path);
  const service = slash < 0 ? null : path.slice(1, slash);
  const method = slash < 0 ? null : path.slice(slash + 1);
  let best = table.candidates.length;
  if (service !== null && method !== null) {
    const samePath = table.byPath.get(path);
    if (samePath !== undefined) best = bestIn(samePath, best, table, headers, service, method);
    const sameService = table.byService.get(service);
    if (sameService !== undefined) best = bestIn(sameService, best, table, headers, service, method);
    const sameMethod = table.byMethod.get(method);
    if (sameMethod !== undefined) best = bestIn(sameMethod, best, table, headers, service, method);
  }
  best = bestIn(table.general, best, table, headers, service, method);
  return best < table.candidates.length ? best : -1;
}

/** Where the method's slash stands in a gRPC path "/service/method"; -1: the path is of another form. */
export function methodSlash(path: string): number {
  const slash = path.lastIndexOf('/');
  return slash > 1 && path.charCodeAt(0) === 47 ? slash : -1;
}

/**
 * The value of a header; those of repeated lines joined, so that no line can hide from a match: by ',' (RFC 9110 §5.3),
 * the crumbs of a cookie by '; ' (RFC 9113 §8.2.3). null: absent.
 */
export function headerValue(headers: HeaderList, name: string): string | null {
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) value = value === null ? headers[i + 1] : `${value}${separatorOf(name)}${headers[i + 1]}`;
  }
  return value;
}

/**
 * The value that a header match looks at: that of headerValue(); of several set-cookie lines, which are never joined
 * (RFC 9110 §5.3), one that the match holds for if there is one. null: absent.
 */
export function judgedValue(headers: HeaderList, { name, value }: HeaderTest): string | null {
  if (name !== SET_COOKIE) return headerValue(headers, name);
  let found: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name && (found === null || value.test(headers[i + 1]))) found = headers[i + 1];
  }
  return found;
}

/** What stands between two lines of a name when they are joined; by edits too. */
export function separatorOf(name: string): ',' | '; ' {
  return name === 'cookie' ? '; ' : ',';
}

/** Whether all parts of a candidate hold. A null service or method: the path is no gRPC path. */
export function candidateMatches(candidate: Candidate, headers: HeaderList, service: string | null, method: string | null): boolean {
  if (candidate.service !== null && (service === null || !candidate.service.test(service))) return false;
  if (candidate.method !== null && (method === null || !candidate.method.test(method))) return false;
  for (let i = 0; i < candidate.headers.length; i++) {
    const wanted = candidate.headers[i];
    const value = judgedValue(headers, wanted);
    if (value === null || !wanted.value.test(value)) return false;
  }
  return true;
}

/** The best candidate of a bucket that matches and is better than `best`; otherwise `best`. */
function bestIn(
  bucket: Bucket,
  best: number,
  table: CompiledTable,
  headers: HeaderList,
  service: string | null,
  method: string | null,
): number {
  let found = bestOf(bucket.plain, best, table, headers, service, method);
  if (bucket.byHeader === null) return found;
  for (let i = 0; i < headers.length; i += 2) {
    const values = bucket.byHeader.get(headers[i]);
    if (values === undefined) continue;
    // A repeated header is looked up once per line; the joined value is the same each time, so the answer is too.
    const list = values.get(headers[i] === SET_COOKIE ? headers[i + 1] : headerValue(headers, headers[i])!);
    if (list !== undefined) found = bestOf(list, found, table, headers, service, method);
  }
  return found;
}

function bestOf(
  list: readonly number[],
  best: number,
  table: CompiledTable,
  headers: HeaderList,
  service: string | null,
  method: string | null,
): number {
  for (let i = 0; i < list.length && list[i] < best; i++) {
    if (candidateMatches(table.candidates[list[i]], headers, service, method)) return list[i];
  }
  return best;
}
