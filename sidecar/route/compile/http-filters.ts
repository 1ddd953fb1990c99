// Redirects, rewrites, CORS and retries of the configuration as records.
import type { Cors, Filter, PathChange, Retry } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { octetsOf } from '../latin1.ts';
import type { CorsRecord, HeaderEdit, PathChangeRecord, RedirectRecord, RetryRecord, RewriteRecord, StringTest } from '../records.ts';
import { withoutSlash } from './candidates.ts';
import { CompileError } from './compile-error.ts';
import { compileStringTest } from './string-test.ts';

/** @param responseEdits that the answer gets */
export function compileRedirect(
  filters: readonly Filter[],
  responseEdits: readonly HeaderEdit[] | null,
  what: string,
): RedirectRecord | null {
  for (const { kind } of filters) {
    if (kind.case !== 'redirect') continue;
    const { scheme, hostname, path, port, status } = kind.value;
    if (status < 300 || status > 399) throw new CompileError(`${what}: a redirect has status ${status}`);
    return { scheme, hostname, path: compileChange(path, what), port, status, responseEdits };
  }
  return null;
}

export function compileRewrite(filters: readonly Filter[], what: string): RewriteRecord | null {
  for (const { kind } of filters) {
    if (kind.case === 'rewrite') return { hostname: kind.value.hostname, path: compileChange(kind.value.path, what) };
  }
  return null;
}

export function compileCors(filters: readonly Filter[], what: string): CorsRecord | null {
  for (const { kind } of filters) if (kind.case === 'cors') return corsRecord(kind.value, what);
  return null;
}

export function compileRetry(retry: Retry | undefined): RetryRecord | null {
  return retry === undefined ? null : { attempts: retry.attempts, codes: new Set(retry.codes), backoffMs: retry.backoffMs };
}

function compileChange(change: PathChange | undefined, what: string): PathChangeRecord | null {
  if (change === undefined) return null;
  const { kind } = change;
  switch (kind.case) {
    case 'full':
      return { kind: 'full', path: octetsOf(kind.value) };
    case 'prefix': {
      const [matched, replacement] = [kind.value.matched, kind.value.replacement].map((path) => withoutSlash(octetsOf(path)));
      return { kind: 'prefix', matched, replacement };
    }
    default:
      throw new CompileError(`${what}: unknown change of a path`);
  }
}

function corsRecord(cors: Cors, what: string): CorsRecord {
  const anyOr = (list: readonly string[]): readonly string[] | null => (list.includes('*') ? null : list);
  const anyOrigin = cors.allowOrigins.includes('*');
  return {
    anyOrigin,
    origins: anyOrigin ? [] : cors.allowOrigins.map((origin) => originTest(origin, what)),
    credentials: cors.allowCredentials,
    methods: anyOr(cors.allowMethods),
    headers: anyOr(cors.allowHeaders),
    // With credentials a browser takes "*" for a name (the Fetch standard, "CORS protocol and credentials").
    expose: cors.exposeHeaders.includes('*') ? (cors.allowCredentials ? '' : '*') : cors.exposeHeaders.join(', '),
    maxAgeSeconds: cors.maxAgeSeconds,
  };
}

/** A "*" stands for any characters of a host, more labels than one included, or for any port. */
function originTest(origin: string, what: string): StringTest {
  if (!origin.includes('*')) return compileStringTest(exactOrigin(origin), what);
  const value = origin
    .split('*')
    .map((part) => part.replace(/[.+]/g, '\\$&'))
    .join('[^/]+');
  return compileStringTest({ ...exactOrigin(''), kind: { case: 'regex', value } }, what);
}

function exactOrigin(value: string) {
  return { $typeName: 'weft.v1.StringMatch' as const, kind: { case: 'exact' as const, value } };
}
