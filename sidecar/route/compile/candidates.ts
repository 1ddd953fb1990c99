// The matches of a table as tests, made once: what a request is held against.
import type { HttpMatch, Match, PathMatch, RouteTable, StringMatch } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { octetsOf } from '../latin1.ts';
import type { CallTarget, Candidate, HeaderTest, PathTest, RequestTarget, RuleRecord, StringTest } from '../records.ts';
import { CompileError } from './compile-error.ts';
import { checkedName } from './edits.ts';
import { compileStringTest } from './string-test.ts';

/** @param self names the table in error messages */
export function compileCandidates({ matches }: RouteTable, kind: 'grpc' | 'http', rules: readonly RuleRecord[], self: string): Candidate[] {
  const tests = new Tests();
  return matches.map((match) => {
    const rule = rules[match.rule];
    if (rule === undefined) throw new CompileError(`${self}: a match points at rule ${match.rule} of ${rules.length}`);
    const { route } = rule;
    const what = `${route?.kind} ${route?.namespace}/${route?.name} rule ${rule.index} match ${match.index}`;
    const headers: HeaderTest[] = [];
    for (const header of match.headers) {
      const name = checkedName(header.name, what);
      // Of equivalent names in one match the first holds, the others are ignored (Gateway API, GRPCHeaderMatch.name).
      if (headers.some((earlier) => earlier.name === name)) continue;
      headers.push({ name, value: tests.needed(header.value, `${what} header ${name}`) });
    }
    const target = kind === 'grpc' ? grpcTarget(match, tests, what) : httpTarget(match.http, tests, what);
    return { rule, matchIndex: match.index, target, headers };
  });
}

function grpcTarget({ service, method, http }: Match, tests: Tests, what: string): CallTarget {
  if (http !== undefined) throw new CompileError(`${what}: a match of HTTP in a table of GRPCRoutes`);
  return { kind: 'grpc', service: tests.of(service, `${what} service`), method: tests.of(method, `${what} method`) };
}

function httpTarget(http: HttpMatch | undefined, tests: Tests, what: string): RequestTarget {
  if (http?.path === undefined) throw new CompileError(`${what}: a match without a path in a table of HTTPRoutes`);
  return {
    kind: 'http',
    path: pathTest(http.path, tests, `${what} path`),
    method: http.method,
    query: http.query.map(({ name, value }) => ({ name: octetsOf(name), value: tests.needed(value, `${what} query ${name}`) })),
  };
}

/** null: any path, which is what the prefix "/" means. */
function pathTest({ kind }: PathMatch, tests: Tests, what: string): PathTest | null {
  switch (kind.case) {
    case 'exact':
    case 'regex':
      return tests.needed({ kind } as StringMatch, what);
    case 'prefix': {
      const octets = withoutSlash(octetsOf(kind.value));
      if (octets === '') return null;
      const test = (path: string): boolean =>
        path.startsWith(octets) && (path.length === octets.length || path.charCodeAt(octets.length) === 47);
      return { kind: 'prefix', pattern: kind.value, octets, test };
    }
    default:
      throw new CompileError(`${what}: unknown kind of match`);
  }
}

/** A prefix is of whole elements: a slash at its end means nothing (HTTPPathMatch.type). */
export function withoutSlash(prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
}

/** Patterns repeat over the matches of a route: each is compiled once. */
class Tests {
  private readonly made = new Map<string, StringTest>();

  of(match: StringMatch | undefined, what: string): StringTest | null {
    return match === undefined ? null : this.needed(match, what);
  }

  needed(match: StringMatch | undefined, what: string): StringTest {
    if (match === undefined) throw new CompileError(`${what} has no value to match`);
    const key = `${match.kind.case} ${match.kind.value}`;
    let test = this.made.get(key);
    if (test === undefined) this.made.set(key, (test = compileStringTest(match, what)));
    return test;
  }
}
