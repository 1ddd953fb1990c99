// Which rule serves a request: the first candidate, best first, all of whose parts hold (Gateway API precedence is in
// their order). Tables of every kind are searched alike; what they differ in is how a request's path leads to buckets.
import { queryValue } from './query.ts';
import type {
  Bucket,
  CallTarget,
  Candidate,
  CompiledTable,
  GrpcTable,
  HeaderList,
  HeaderTest,
  HttpTable,
  RequestTarget,
  RuleRecord,
} from './records.ts';

const SET_COOKIE = 'set-cookie';

/** A request as candidates look at it. */
export interface AskedRequest {
  readonly headers: HeaderList;
  /**
   * The gRPC service and method: what stands before and after the last slash of ":path", as gRPC servers split it.
   * null: the path is of another form, and meets only matches that ask neither.
   */
  readonly service: string | null;
  readonly call: string | null;
  /** ":path" without its query, and the query without its question mark; null: there is none. */
  readonly path: string;
  readonly query: string | null;
  /** ":method"; GET for a switch of protocols. */
  readonly method: string;
}

/**
 * Finds the rule that serves a request; null: the caller answers UNIMPLEMENTED or 404, never the fallback (GEP-1294).
 */
export function findRule(table: CompiledTable, headers: HeaderList): RuleRecord | null {
  const found = findCandidate(table, headers);
  return found < 0 ? null : table.candidates[found].rule;
}

/** Like findRule(), but gives the index of the candidate that won; -1: none. */
export function findCandidate(table: CompiledTable, headers: HeaderList): number {
  const asked = askedOf(headers);
  const best = table.kind === 'grpc' ? bestByMethod(table, asked) : bestByPath(table, asked);
  return best < table.candidates.length ? best : -1;
}

export function askedOf(headers: HeaderList): AskedRequest {
  const whole = headerValue(headers, ':path') ?? '';
  const slash = methodSlash(whole);
  const mark = whole.indexOf('?');
  const method = headerValue(headers, ':method') ?? '';
  return {
    headers,
    service: slash < 0 ? null : whole.slice(1, slash),
    call: slash < 0 ? null : whole.slice(slash + 1),
    path: mark < 0 ? whole : whole.slice(0, mark),
    query: mark < 0 ? null : whole.slice(mark + 1),
    // A switch of protocols, such as WebSocket's, was a GET before it became a stream (RFC 8441 §5).
    method: method === 'CONNECT' && headerValue(headers, ':protocol') !== null ? 'GET' : method,
  };
}

function bestByMethod(table: GrpcTable, asked: AskedRequest): number {
  let best = table.candidates.length;
  const { service, call } = asked;
  if (service !== null && call !== null) {
    best = bestIn(table.byPath.get(`/${service}/${call}`), best, table, asked);
    best = bestIn(table.byService.get(service), best, table, asked);
    best = bestIn(table.byMethod.get(call), best, table, asked);
  }
  return bestIn(table.general, best, table, asked);
}

function bestByPath(table: HttpTable, asked: AskedRequest): number {
  const { path } = asked;
  let best = bestIn(table.byPath.get(path), table.candidates.length, table, asked);
  for (let i = 0; i < table.prefixLengths.length; i++) {
    const length = table.prefixLengths[i];
    if (length > path.length || (length < path.length && path.charCodeAt(length) !== 47)) continue;
    best = bestIn(table.byPrefix.get(path.slice(0, length)), best, table, asked);
  }
  return bestIn(table.general, best, table, asked);
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

/** Whether all parts of a candidate hold. */
function candidateMatches({ target, headers }: Candidate, asked: AskedRequest): boolean {
  if (!(target.kind === 'grpc' ? isCalled(target, asked) : isRequested(target, asked))) return false;
  for (let i = 0; i < headers.length; i++) {
    const wanted = headers[i];
    const value = judgedValue(asked.headers, wanted);
    if (value === null || !wanted.value.test(value)) return false;
  }
  return true;
}

function isCalled({ service, method }: CallTarget, asked: AskedRequest): boolean {
  if (service !== null && (asked.service === null || !service.test(asked.service))) return false;
  return method === null || (asked.call !== null && method.test(asked.call));
}

function isRequested({ path, method, query }: RequestTarget, asked: AskedRequest): boolean {
  if (method !== '' && method !== asked.method) return false;
  if (path !== null && !path.test(asked.path)) return false;
  for (let i = 0; i < query.length; i++) {
    const value = queryValue(asked.query, query[i].name);
    if (value === null || !query[i].value.test(value)) return false;
  }
  return true;
}

/** The best candidate of a bucket that matches and is better than `best`; otherwise `best`. */
function bestIn(bucket: Bucket | undefined, best: number, table: CompiledTable, asked: AskedRequest): number {
  if (bucket === undefined) return best;
  let found = bestOf(bucket.plain, best, table, asked);
  if (bucket.byHeader === null) return found;
  const { headers } = asked;
  for (let i = 0; i < headers.length; i += 2) {
    const values = bucket.byHeader.get(headers[i]);
    if (values === undefined) continue;
    // A repeated header is looked up once per line; the joined value is the same each time, so the answer is too.
    const list = values.get(headers[i] === SET_COOKIE ? headers[i + 1] : headerValue(headers, headers[i])!);
    if (list !== undefined) found = bestOf(list, found, table, asked);
  }
  return found;
}

function bestOf(list: readonly number[], best: number, table: CompiledTable, asked: AskedRequest): number {
  for (let i = 0; i < list.length && list[i] < best; i++) {
    if (candidateMatches(table.candidates[list[i]], asked)) return list[i];
  }
  return best;
}
