// compile(): what becomes of each part of a Service, and what is refused.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';
import {
  type FilterSchema,
  Protocol,
  RouteKind,
  type RouteRefSchema,
  type RuleSchema,
  type Service,
  type ServicePortSchema,
  ServiceSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { compilePort, compileService } from '#sidecar/route/compile/compile.ts';
import { CompileError } from '#sidecar/route/compile/compile-error.ts';
import type { RuleRecord } from '#sidecar/route/records.ts';

type RuleInit = Exclude<MessageInitShape<typeof RuleSchema>, { $typeName: 'weft.v1.Rule' }>;
type FilterInit = MessageInitShape<typeof FilterSchema>;

const route: MessageInitShape<typeof RouteRefSchema> = { kind: 'GRPCRoute', namespace: 'shop', name: 'payment' };
const v1 = { namespace: 'shop', name: 'payment-v1', port: 8080 };
const v2 = { namespace: 'shop', name: 'payment-v2', port: 8080 };

function serviceOf(...ports: MessageInitShape<typeof ServicePortSchema>[]): Service {
  return create(ServiceSchema, { namespace: 'shop', name: 'payment', ports });
}

function compileRule(rule: RuleInit): RuleRecord {
  const service = serviceOf({ port: 80, routes: { kind: RouteKind.GRPC, rules: [{ route, ...rule }] } });
  return compilePort(service, service.ports[0]).table!.rules[0];
}

const requestHeaders = (value: object): FilterInit => ({ kind: { case: 'requestHeaders', value } });
const responseHeaders = (value: object): FilterInit => ({ kind: { case: 'responseHeaders', value } });
const mirror = (value: object): FilterInit => ({ kind: { case: 'mirror', value } });
const set = (name: string, value = 'v') => ({ set: [{ name, value }] });

describe('compileService', () => {
  it('compiles each port; one without routes goes to the Service itself', () => {
    const ports = compileService(serviceOf({ port: 80, routes: { kind: RouteKind.GRPC } }, { port: 9090, protocol: Protocol.TCP }));
    expect([...ports.keys()]).to.deep.equal([80, 9090]);
    const plain = ports.get(9090)!;
    expect(plain.table).to.equal(null);
    expect(plain.fallback.backends.map(({ ref }) => ref.key)).to.deep.equal(['shop/payment:9090']);
    expect(plain.protocol).to.equal(Protocol.TCP);
    expect(ports.get(80)!.table).to.include({ kind: 'grpc' });
  });

  it('takes HTTP/2 from a GRPCRoute where no protocol is declared', () => {
    expect(compileService(serviceOf({ port: 80, routes: { kind: RouteKind.GRPC } })).get(80)!.protocol).to.equal(Protocol.HTTP2);
  });

  it('makes new records each time and the same content', () => {
    const service = serviceOf({
      port: 80,
      routes: { kind: RouteKind.GRPC, rules: [{ route, backends: [{ ref: v1, weight: 1 }] }], matches: [{ rule: 0 }] },
    });
    const [first, second] = [compilePort(service, service.ports[0], 0.5), compilePort(service, service.ports[0], 0.5)];
    expect(first).not.to.equal(second);
    expect(first.table!.rules).to.deep.equal(second.table!.rules);
    expect(compilePort(service, service.ports[0], 0.6).table!.rules[0].turn).to.be.closeTo((first.table!.rules[0].turn + 0.1) % 1, 1e-9);
  });
});

describe('compile: backends', () => {
  it('keeps weights as running sums and drops weight 0, even where it is invalid (MeshGRPCRouteWeight)', () => {
    const missing = { ref: { namespace: 'shop', name: 'gone', port: 1 }, weight: 0, invalid: 'Service shop/gone does not exist' };
    const rule = compileRule({ backends: [{ ref: v1, weight: 70 }, missing, { ref: v2, weight: 30 }] });
    expect(rule.backends.map(({ ref }) => ref.key)).to.deep.equal(['shop/payment-v1:8080', 'shop/payment-v2:8080']);
    expect(rule.cumulative).to.deep.equal([70, 100]);
    expect(rule).to.include({ totalWeight: 100, invalid: '' });
  });

  it('keeps an invalid backend and its share', () => {
    const rule = compileRule({
      backends: [
        { ref: v1, weight: 1 },
        { ref: v2, weight: 1, invalid: 'gone' },
      ],
    });
    expect(rule.backends.map(({ invalid }) => invalid)).to.deep.equal(['', 'gone']);
  });

  it('fails every call of a rule without backends, or with weights 0 only', () => {
    expect(compileRule({}).invalid).to.match(/no backendRefs/);
    expect(compileRule({ backends: [{ ref: v1, weight: 0 }] }).invalid).to.match(/weight 0/);
    expect(compileRule({ backends: [{ ref: v1, weight: 1 }], invalid: 'unsupported filter' }).invalid).to.equal('unsupported filter');
  });

  it('takes the largest weights', () => {
    const rule = compileRule({ backends: Array.from({ length: 16 }, () => ({ ref: v1, weight: 1_000_000 })) });
    expect(rule.totalWeight).to.equal(16_000_000);
  });
});

describe('compile: filters', () => {
  it('puts request edits in the order rule, backend and response edits in the order backend, rule', () => {
    const rule = compileRule({
      filters: [requestHeaders(set('x-rule')), responseHeaders(set('x-rule'))],
      backends: [{ ref: v1, weight: 1, filters: [requestHeaders(set('x-backend')), responseHeaders(set('x-backend'))] }],
    });
    expect(rule.backends[0].requestEdits!.map(({ name }) => name)).to.deep.equal(['x-rule', 'x-backend']);
    expect(rule.backends[0].responseEdits!.map(({ name }) => name)).to.deep.equal(['x-backend', 'x-rule']);
  });

  it('runs a modifier in the order set, add, remove, with lower-case names and octets', () => {
    const modifier = { remove: ['X-C'], add: [{ name: 'X-B', value: 'ü' }], set: [{ name: 'X-A', value: '1' }] };
    expect(compileRule({ filters: [requestHeaders(modifier)], backends: [{ ref: v1, weight: 1 }] }).backends[0].requestEdits).to.deep.equal(
      [
        { op: 'set', name: 'x-a', value: '1' },
        { op: 'add', name: 'x-b', value: '\xc3\xbc' },
        { op: 'remove', name: 'x-c', value: '' },
      ],
    );
  });

  it('has null for no edits', () => {
    expect(compileRule({ backends: [{ ref: v1, weight: 1 }] }).backends[0]).to.include({ requestEdits: null, responseEdits: null });
  });

  it('takes mirrors of rule and backend, with their share; an invalid one or a share of 0 copies nothing', () => {
    const rule = compileRule({
      filters: [
        mirror({ backend: v2, numerator: 25, denominator: 100 }),
        mirror({ backend: v2, numerator: 1, denominator: 1, invalid: 'gone' }),
        mirror({ backend: v2, numerator: 0, denominator: 100 }),
      ],
      backends: [{ ref: v1, weight: 1, filters: [mirror({ backend: v2, numerator: 3, denominator: 3 })] }],
    });
    expect(rule.mirrors.map(({ backend, fraction }) => [backend.key, fraction])).to.deep.equal([['shop/payment-v2:8080', 0.25]]);
    expect(rule.backends[0].mirrors.map(({ fraction }) => fraction)).to.deep.equal([1]);
  });

  it('names the headers that decisions depend on: matched and edited', () => {
    const service = serviceOf({
      port: 80,
      routes: {
        kind: RouteKind.GRPC,
        rules: [{ route, filters: [requestHeaders(set('X-Edited'))], backends: [{ ref: v1, weight: 1 }] }],
        matches: [{ rule: 0, headers: [{ name: 'X-Matched', value: { kind: { case: 'exact', value: '1' } } }] }],
      },
    });
    expect([...compilePort(service, service.ports[0]).headersThatMatter]).to.have.members(['x-matched', 'x-edited']);
  });
});

describe('compile: what it refuses', () => {
  const refused = (rule: RuleInit, reason: RegExp) => expect(() => compileRule(rule)).to.throw(CompileError, reason);
  const backends = [{ ref: v1, weight: 1 }];

  it('names the route and the rule', () => {
    refused(
      { index: 3, backends: [{ ref: v1, weight: 1_000_001 }] },
      /^GRPCRoute shop\/payment rule 3: weight 1000001 of shop\/payment-v1:8080/,
    );
  });

  it('refuses edits that would break messages: pseudo-headers, framing, line breaks', () => {
    for (const name of [':path', ':authority', '', 'a b', 'a:b', 'ä', 'x\n'])
      refused({ backends, filters: [requestHeaders(set(name))] }, /is not a header name/);
    for (const name of ['Connection', 'transfer-encoding', 'TE', 'content-length', 'host']) {
      refused({ backends, filters: [requestHeaders(set(name))] }, /belongs to the connection/);
      refused({ backends, filters: [responseHeaders({ remove: [name] })] }, /belongs to the connection/);
    }
    for (const value of ['a\r\nb: c', 'a\nb', 'a\0', ' a', 'a\t'])
      refused({ backends, filters: [requestHeaders(set('x', value))] }, /no header may carry/);
  });

  it('refuses filters of unknown kind instead of skipping them', () => {
    refused({ backends, filters: [{}] }, /a kind that this sidecar does not know/);
    refused({ backends: [{ ref: v1, weight: 1, filters: [{}] }] }, /a kind that this sidecar does not know/);
  });

  it('refuses broken references', () => {
    refused({ backends: [{ weight: 1 }] }, /names no Service/);
    refused({ backends, filters: [mirror({ backend: v1, numerator: 1, denominator: 0 })] }, /denominator 0/);
    const dangling = serviceOf({ port: 80, routes: { kind: RouteKind.GRPC, matches: [{ rule: 0 }] } });
    expect(() => compileService(dangling)).to.throw(CompileError, /points at rule 0 of 0/);
    const unknown = serviceOf({ port: 80, routes: { kind: 9 as RouteKind } });
    expect(() => compileService(unknown)).to.throw(CompileError, /does not serve routes of kind 9/);
    const rules = [{ route: { kind: 'HTTPRoute', namespace: 'shop', name: 'r' }, backends }];
    for (const match of [{}, { http: {} }, { http: { path: {} } }]) {
      const pathless = serviceOf({ port: 80, routes: { kind: RouteKind.HTTP, rules, matches: [match] } });
      expect(() => compileService(pathless), JSON.stringify(match)).to.throw(CompileError);
    }
    const mixed = serviceOf({
      port: 80,
      routes: { kind: RouteKind.GRPC, rules, matches: [{ http: { path: { kind: { case: 'exact', value: '/' } } } }] },
    });
    expect(() => compileService(mixed)).to.throw(CompileError, /HTTP in a table of GRPCRoutes/);
  });
});
