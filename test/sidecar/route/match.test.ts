// findRule() against a slow reference that walks the configuration itself, and the cases worth naming.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Match, RouteKind, type Service, ServiceSchema, type StringMatch } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { compilePort } from '#sidecar/route/compile/compile.ts';
import { findRule, headerValue, methodSlash } from '#sidecar/route/match.ts';
import type { CompiledTable, HeaderList, RuleRecord } from '#sidecar/route/records.ts';
import { request, serviceWithTable } from './random-table.ts';

function tableOf(service: Service): CompiledTable {
  const { table } = compilePort(service, service.ports[0]);
  if (table === null) throw new Error('no table');
  return table;
}

/** Straight from the words of the specification: no index, JavaScript's own expressions, text instead of octets. */
function slowly(matches: readonly Match[], headers: HeaderList): Match | null {
  const path = headers[headers.indexOf(':path') + 1];
  const parts = /^\/(.+)\/([^/]*)$/s.exec(path);
  const holds = (wanted: StringMatch | undefined, octets: string | undefined) => {
    if (wanted === undefined) return true;
    if (octets === undefined) return false;
    const text = Buffer.from(octets, 'latin1').toString('utf8');
    return wanted.kind.case === 'exact' ? text === wanted.kind.value : new RegExp(`^(?:${wanted.kind.value})$`, 'u').test(text);
  };
  for (const match of matches) {
    if (!holds(match.service, parts?.[1]) || !holds(match.method, parts?.[2])) continue;
    const seen = new Set<string>();
    const all = match.headers.every(({ name, value }) => {
      const lower = name.toLowerCase();
      if (seen.has(lower)) return true;
      seen.add(lower);
      const values = headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === lower);
      return values.length > 0 && holds(value, values.join(','));
    });
    if (all) return match;
  }
  return null;
}

describe('findRule', () => {
  it('chooses as the reference does, for random tables and requests', () => {
    const outcomes = { found: 0, none: 0 };
    fc.assert(
      fc.property(serviceWithTable, fc.array(request, { minLength: 40, maxLength: 40 }), (service, requests) => {
        const table = tableOf(service);
        const { matches } = service.ports[0].routes!;
        for (const headers of requests) {
          const wanted = slowly(matches, headers);
          const found = findRule(table, headers);
          expect(found, headers.join(' ')).to.equal(wanted === null ? null : table.rules[wanted.rule]);
          outcomes[found === null ? 'none' : 'found']++;
        }
      }),
      { numRuns: 500 },
    );
    // A property over requests that never match, or always, would prove nothing.
    expect(outcomes.found).to.be.above(2_000);
    expect(outcomes.none).to.be.above(2_000);
  });

  const find = (match: object, headers: string[]): RuleRecord | null => {
    const service = create(ServiceSchema, {
      namespace: 'ns',
      name: 'svc',
      ports: [
        {
          port: 80,
          routes: { kind: RouteKind.GRPC, rules: [{ route: { kind: 'GRPCRoute', namespace: 'ns', name: 'r' } }], matches: [match] },
        },
      ],
    });
    return findRule(tableOf(service), headers);
  };
  const exact = (value: string) => ({ kind: { case: 'exact' as const, value } });
  const regex = (value: string) => ({ kind: { case: 'regex' as const, value } });

  it('sees the values of repeated lines joined by a comma, so that none hides from a match', () => {
    const wanted = { headers: [{ name: 'x-role', value: exact('admin') }] };
    expect(find(wanted, [':path', '/a.S/M', 'x-role', 'admin'])).not.to.equal(null);
    expect(find(wanted, [':path', '/a.S/M', 'x-role', 'guest', 'x-role', 'admin'])).to.equal(null);
    const joined = { headers: [{ name: 'x-role', value: exact('guest,admin') }] };
    expect(find(joined, [':path', '/a.S/M', 'x-role', 'guest', 'x-role', 'admin'])).not.to.equal(null);
  });

  it('is case-sensitive for services, methods and values', () => {
    expect(find({ service: exact('a.S'), method: exact('Get') }, [':path', '/a.S/get'])).to.equal(null);
    expect(find({ headers: [{ name: 'x-v', value: exact('V1') }] }, [':path', '/a.S/M', 'x-v', 'v1'])).to.equal(null);
  });

  it('anchors regular expressions at both ends', () => {
    expect(find({ method: regex('Get') }, [':path', '/a.S/GetAll'])).to.equal(null);
    expect(find({ method: regex('[G]et') }, [':path', '/a.S/GetAll'])).to.equal(null);
    expect(find({ method: regex('a|ab') }, [':path', '/a.S/ab'])).not.to.equal(null);
    expect(find({ method: regex('[a]|ab') }, [':path', '/a.S/ab'])).not.to.equal(null);
  });

  it('compares text with octets as UTF-8', () => {
    const wanted = { headers: [{ name: 'x-city', value: regex('Z.rich') }] };
    expect(find(wanted, [':path', '/a.S/M', 'x-city', Buffer.from('Zürich').toString('latin1')])).not.to.equal(null);
  });

  it('sees the crumbs of a cookie as one value, and each set-cookie line alone', () => {
    const crumbs = [':path', '/a.S/M', 'cookie', 'theme=dark', 'x', 'y', 'cookie', 'user=jason'];
    expect(find({ headers: [{ name: 'Cookie', value: exact('theme=dark; user=jason') }] }, crumbs)).not.to.equal(null);
    expect(find({ headers: [{ name: 'cookie', value: regex('(.*?; )?user=jason(;.*)?') }] }, crumbs)).not.to.equal(null);
    expect(find({ headers: [{ name: 'cookie', value: regex('(.*; )?dark(;.*)?') }] }, crumbs)).to.equal(null);
    const set = [':path', '/a.S/M', 'set-cookie', 'a=1', 'set-cookie', 'b=2'];
    for (const one of ['a=1', 'b=2']) expect(find({ headers: [{ name: 'set-cookie', value: exact(one) }] }, set)).not.to.equal(null);
    expect(find({ headers: [{ name: 'set-cookie', value: exact('a=1,b=2') }] }, set)).to.equal(null);
  });

  it('finds a cookie in crumbs also where the matches are so many that they are split by it', () => {
    const rules = Array.from({ length: 64 }, (_, i) => ({ route: { kind: 'GRPCRoute', namespace: 'ns', name: `r${i}` } }));
    const matches = rules.map((_, rule) => ({ rule, headers: [{ name: 'cookie', value: exact(`theme=dark; user=${rule}`) }] }));
    const ports = [{ port: 80, routes: { kind: RouteKind.GRPC, rules, matches } }];
    const table = tableOf(create(ServiceSchema, { namespace: 'ns', name: 'svc', ports }));
    expect(table.general.byHeader).not.to.equal(null);
    const list = [':path', '/a.S/M', 'cookie', 'theme=dark', 'cookie', 'user=17'];
    expect(findRule(table, list)).to.equal(table.rules[17]);
  });

  it('serves names of object prototypes like any other', () => {
    for (const name of ['__proto__', 'constructor', 'tostring']) {
      expect(find({ headers: [{ name, value: exact('1') }] }, [':path', '/a.S/M'])).to.equal(null);
      expect(find({ headers: [{ name, value: exact('1') }] }, [':path', '/a.S/M', name, '1'])).not.to.equal(null);
    }
  });

  it('matches a rule without conditions even where the path is none of gRPC', () => {
    expect(find({}, [':path', '*'])).not.to.equal(null);
    expect(find({ method: regex('.*') }, [':path', '*'])).to.equal(null);
  });

  it('asks few candidates out of 20,000', () => {
    const matches = Array.from({ length: 20_000 }, (_, i) => ({
      ...(i % 2 === 0 ? { service: exact(`pkg.S${i % 100}`) } : {}),
      headers: [
        { name: 'x-env', value: exact('prod') },
        { name: 'x-tenant', value: exact(`t${i}`) },
      ],
    }));
    const rules = [{ route: { kind: 'GRPCRoute', namespace: 'ns', name: 'r' } }];
    const service = create(ServiceSchema, {
      namespace: 'ns',
      name: 'svc',
      ports: [{ port: 80, routes: { kind: RouteKind.GRPC, rules, matches } }],
    });
    const table = tableOf(service);
    let asked = 0;
    const candidates = table.candidates.map((candidate) => ({
      ...candidate,
      get headers() {
        asked++;
        return candidate.headers;
      },
    }));
    expect(findRule({ ...table, candidates }, [':path', '/pkg.S0/M', 'x-env', 'prod', 'x-tenant', 't19999'])).to.equal(table.rules[0]);
    expect(asked).to.be.within(1, 20);
  });
});

describe('findRule, in a table of HTTPRoutes', () => {
  it('takes a WebSocket for the GET that it was', () => {
    const service = create(ServiceSchema, {
      ports: [
        {
          routes: {
            kind: RouteKind.HTTP,
            rules: [{ route: { name: 'chat' } }],
            matches: [{ http: { path: { kind: { case: 'prefix', value: '/' } }, method: 'GET' } }],
          },
        },
      ],
    });
    const asked = (...headers: string[]) => findRule(tableOf(service), [':path', '/chat', ...headers]) !== null;
    expect(asked(':method', 'CONNECT', ':protocol', 'websocket')).equal(true);
    expect(asked(':method', 'CONNECT')).equal(false);
    expect(asked(':method', 'POST')).equal(false);
  });
});

describe('headerValue', () => {
  it('is null for an absent header and empty for an empty one', () => {
    expect(headerValue(['x', ''], 'x')).to.equal('');
    expect(headerValue(['x', ''], 'y')).to.equal(null);
    expect(headerValue(['y', 'x', 'x', '1'], 'x')).to.equal('1');
  });

  it('joins repeated lines by a comma, and the crumbs of a cookie as they were before they were cut (RFC 9113 §8.2.3)', () => {
    expect(headerValue(['x', '1', 'y', '0', 'x', '2'], 'x')).to.equal('1,2');
    expect(headerValue(['cookie', 'theme=dark', 'x', '1', 'cookie', 'user=jason'], 'cookie')).to.equal('theme=dark; user=jason');
  });
});

describe('methodSlash', () => {
  it('finds the last slash, and none in paths of another form', () => {
    expect(methodSlash('/a.S/Get')).to.equal(4);
    expect(methodSlash('/a.S/Get/x')).to.equal(8);
    for (const path of ['', '*', '/', '//Get', '/a.S', 'a.S/Get']) expect(methodSlash(path), path).to.equal(-1);
  });
});
