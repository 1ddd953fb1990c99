// `weft status`: several replicas as one picture, tables for people, and replicas asked over real HTTP.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import type { OpenPort } from '#cli/cluster/reach.ts';
import { askReplicas } from '#cli/cluster/replicas.ts';
import { spanText } from '#cli/print/span.ts';
import { PLAIN } from '#cli/print/style.ts';
import { layOutStatus, ofNamespace, type What } from '#cli/status/layout.ts';
import { mergeAnswers } from '#cli/status/merge.ts';
import type { ParentView, RouteView, TracedCallView } from '#core/contract/view.ts';
import { ACCEPTED, NOW_MS, ok, RESOLVED, report, sidecar, unread } from '../check/facts.ts';

const conditions = [ACCEPTED, RESOLVED] as ParentView['conditions'];

function route(applied: ParentView['applied'], change: Partial<RouteView> = {}, parent: Partial<ParentView> = {}): RouteView {
  return {
    kind: 'GRPCRoute',
    namespace: 'shop',
    name: 'payment',
    generation: 2,
    parents: [{ parent: 'shop/payment', port: 8080, conditions, applied, ...parent }],
    ...change,
  };
}

const answer = (change: Parameters<typeof report>[0], pod = 'a') => ({ pod, report: ok(report(change)) });

const lines = (answers: Parameters<typeof mergeAnswers>[0], what: What, wide = false, namespace?: string) =>
  layOutStatus(ofNamespace(mergeAnswers(answers), namespace), { what: [what], wide, namespace, nowMs: NOW_MS, style: PLAIN });

import { until } from '#test/support/until.ts';

describe('weft status', () => {
  it('adds up what replicas count, and names the replicas that are missing', () => {
    const rejected = [{ pod: 'shop/c', version: '2', reason: 'bad pattern' }];
    const merged = mergeAnswers([
      answer({ routes: [route({ want: 20, applied: 20, rejected: [] })], sidecars: [sidecar('a'), sidecar('both')] }),
      answer({
        routes: [route({ want: 20, applied: 17, rejected })],
        sidecars: [{ ...sidecar('both'), connectedSinceMs: NOW_MS, pending: 1 }, sidecar('b')],
      }),
      { pod: 'weft-control-plane-3', report: unread('no answer within 6 s') },
    ]);
    expect(merged.routes).to.have.length(1);
    expect(merged.routes[0].parents[0].applied).to.deep.equal({ want: 40, applied: 37, rejected });
    expect(merged.sidecars.map(({ pod, pending }) => [pod, pending])).to.deep.equal([
      ['a', 0],
      ['b', 0],
      ['both', 1],
    ]);
    expect(merged.unreachable).to.deep.equal(['weft-control-plane-3: no answer within 6 s']);
    expect(merged.replicas).to.equal(2);
  });

  it('sorts by namespace, then by name', () => {
    const sidecars = [
      { ...sidecar('b'), namespace: 'web-two' },
      { ...sidecar('z'), namespace: 'web' },
      { ...sidecar('a'), namespace: 'web' },
    ];
    expect(mergeAnswers([answer({ sidecars })]).sidecars.map(({ namespace, pod }) => `${namespace}/${pod}`)).to.deep.equal([
      'web/a',
      'web/z',
      'web-two/b',
    ]);
  });

  it('takes the conditions of the replica that has seen the newer generation', () => {
    const old = route({ want: 1, applied: 1, rejected: [] }, { generation: 1 }, { conditions: [] });
    for (const pair of [
      [old, route({ want: 1, applied: 0, rejected: [] })],
      [route({ want: 1, applied: 0, rejected: [] }), old],
    ]) {
      const [merged] = mergeAnswers(pair.map((one) => answer({ routes: [one] }))).routes;
      expect(merged.generation).to.equal(2);
      expect(merged.parents[0]).to.deep.include({ conditions, applied: { want: 2, applied: 1, rejected: [] } });
    }
  });

  it('shows routes as a table', () => {
    const missing = { ...RESOLVED, status: 'False' as const, reason: 'BackendNotFound', message: 'there is no Service "shop/payment-v3"' };
    const routes = [
      route({ want: 40, applied: 37, rejected: [] }),
      route(
        { want: 0, applied: 0, rejected: [] },
        { namespace: 'web', name: 'all' },
        { port: undefined, conditions: [ACCEPTED as never, missing] },
      ),
    ];
    expect(lines([answer({ routes })], 'routes')).to.deep.equal([
      'NAMESPACE   ROUTE     SERVICE        ACCEPTED   REFS    APPLIED   MESSAGE',
      'shop        payment   payment:8080   True       True    37/40',
      'web         all       shop/payment   True       False   –         BackendNotFound: there is no Service "shop/payment-v3"',
    ]);
  });

  it('shows sidecars as a table, also wide', () => {
    const late = { ...sidecar('b'), workload: '', lastAckMs: 0, certificateNotAfterMs: NOW_MS - 1, pending: 2 };
    const refusing = { ...late, rejected: [{ name: 'service/shop/payment', reason: 'bad pattern' }] };
    expect(lines([answer({ sidecars: [sidecar('a'), refusing] })], 'sidecars')).to.deep.equal([
      'NAMESPACE   POD   WORKLOAD   VERSION   CONNECTED   CONFIG AGE   CERTIFICATE   PENDING   REJECTED',
      'shop        a     payment    0.1.0     1h          1m           11h           0         0',
      'shop        b     –          0.1.0     1h          –            expired       2         1',
    ]);
    expect(lines([answer({ sidecars: [refusing] })], 'sidecars', true)[1]).to.match(/ 5 +2 +1 +service\/shop\/payment: bad pattern$/);
  });

  const call = (change: Partial<TracedCallView> = {}): TracedCallView => ({
    traceId: 'a'.repeat(32),
    service: 'shop/payment:8080',
    method: 'payment.PaymentService/Charge',
    route: 'GRPCRoute/shop/payment',
    from: 'shop/checkout',
    code: 0,
    ms: 41.2,
    endedMs: NOW_MS - 12_000,
    error: '',
    kind: 'slow',
    ...change,
  });
  const failed = call({ traceId: 'b'.repeat(32), code: 14, ms: 3, endedMs: NOW_MS - 2000, error: 'no_endpoints', kind: 'failed' });

  it('shows the traces of slow and of failed calls, the worst of all replicas', () => {
    const answers = [answer({ calls: [failed, call()] }), answer({ calls: [call({ ms: 7 }), { ...failed, endedMs: NOW_MS - 3000 }] })];
    expect(lines(answers, 'calls')).to.deep.equal([
      'SERVICE             METHOD                          FROM            CODE          TIME      AGE   TRACE',
      `shop/payment:8080   payment.PaymentService/Charge   shop/checkout   OK            41.2 ms   12s   ${'a'.repeat(32)}`,
      `shop/payment:8080   payment.PaymentService/Charge   shop/checkout   UNAVAILABLE   3.00 ms   2s    ${'b'.repeat(32)}`,
    ]);
    expect(lines(answers, 'calls', true)[2]).to.match(
      /Charge +GRPCRoute\/shop\/payment +shop\/checkout +UNAVAILABLE +no_endpoints +3\.00 ms/,
    );
    const slowAndFailed = [answer({ calls: [call({ code: 4 }), { ...failed, traceId: 'a'.repeat(32) }] })];
    expect(mergeAnswers(slowAndFailed).calls.map(({ kind, code }) => [kind, code])).to.deep.equal([['slow', 4]]);
    expect(lines(answers, 'calls', false, 'web')).to.deep.equal([
      'no recorded call to or from namespace web is known: sidecars with tracing tell of a slow and of the last failed call of each Service',
    ]);
    expect(lines([answer({ calls: [call({ service: 'bank/ledger:80' })] })], 'calls', false, 'shop')[1]).to.match(/^bank\/ledger:80 /);
    expect(lines([answer({ calls: [call({ method: 'a\u001b[2J\u001b[8m\u202eb' })] })], 'calls')[1]).to.match(/:8080 +ab +shop/);
  });

  it('says what an empty table means', () => {
    expect(lines([answer({ sidecars: [] })], 'routes')[0]).to.match(/^no route is attached to a Service: /);
    expect(lines([answer({ sidecars: [sidecar('a')] })], 'sidecars', false, 'web')).to.deep.equal([
      'no sidecar is connected from namespace web',
      'to mesh a namespace: kubectl label namespace web weft.dev/inject=enabled, then kubectl -n web rollout restart deployment',
    ]);
  });

  it('keeps of a namespace its routes, routes on its Services, and its sidecars', () => {
    const applied = { want: 1, applied: 1, rejected: [] };
    const routes = [
      route(applied),
      route(applied, { namespace: 'web' }),
      route(applied, { namespace: 'web', name: 'own' }, { parent: 'web/own' }),
    ];
    const merged = mergeAnswers([answer({ routes })]);
    expect(ofNamespace(merged, 'shop').routes.map(({ namespace, name }) => `${namespace}/${name}`)).to.deep.equal([
      'shop/payment',
      'web/payment',
    ]);
    expect(ofNamespace(merged, 'web').sidecars).to.deep.equal([]);
  });

  it('lets no name drive a terminal', () => {
    const routes = [route({ want: 0, applied: 0, rejected: [] }, { name: 'a\u001b[2Jb\u0007' })];
    expect(lines([answer({ routes })], 'routes')[1]).to.match(/^shop +ab +payment:8080/);
  });

  it('writes spans of time as kubectl does', () => {
    const spans = [0, 999, 59_000, 61_000, 250_000, 601_000, 3_600_000, 5_400_000, 86_400_000 * 400].map(spanText);
    expect(spans).to.deep.equal(['0s', '0s', '59s', '1m1s', '4m10s', '10m', '1h', '1h30m', '400d']);
  });
});

describe('weft status, asking', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function replica(status: number, body: string): Promise<number> {
    const server = createServer((request, response) => response.writeHead(request.url === '/status' ? status : 404).end(body));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  it('asks each replica, and says why one fails', async () => {
    const ports: Record<string, number> = {
      good: await replica(200, JSON.stringify(report())),
      older: await replica(200, JSON.stringify({ version: '0.0.9', leader: true })),
      starting: await replica(503, 'waiting for: GRPCRoute\n'),
      other: await replica(200, '[]'),
    };
    let closed = 0;
    const open: OpenPort = async (namespace, pod, port) => {
      expect([namespace, port]).to.deep.equal(['weft-system', 15014]);
      if (pod === 'forbidden') throw new Error('cannot create pods/portforward');
      // Nothing listens at port 1: the port-forward itself knows better why.
      return { localPort: ports[pod] ?? 1, lastError: () => (pod === 'gone' ? 'pods "gone" not found' : ''), close: () => void closed++ };
    };
    const [good, older, starting, other, gone, forbidden] = await askReplicas(open, [...Object.keys(ports), 'gone', 'forbidden']);
    expect(good).to.deep.equal({ pod: 'good', report: { ok: true, value: report() } });
    expect(older.report).to.deep.nested.include({ 'value.sidecars': [], 'value.calls': [], 'value.version': '0.0.9' });
    expect(starting.report).to.deep.equal({ ok: false, error: '/status answers 503 waiting for: GRPCRoute' });
    expect(other.report).to.deep.equal({ ok: false, error: '/status is not a report: it has no version' });
    expect(gone.report).to.deep.equal({ ok: false, error: 'pods "gone" not found' });
    expect(forbidden.report).to.deep.equal({ ok: false, error: 'cannot create pods/portforward' });
    expect(closed).to.equal(5);
  });

  it('leaves no timer behind that would hold the program, also when an answer breaks off', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{');
      setImmediate(() => response.destroy());
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const [broken] = await askReplicas(async () => ({ localPort: port, lastError: () => '', close: () => {} }), ['p']);
    expect(broken.report).to.deep.equal({ ok: false, error: 'aborted' });
    await until(() => timers() <= before, 'the deadline is gone');
  });
});
