// The control plane of a cluster as a whole, on an API server in memory: waits, serves, leads, and stops.
import { request } from 'node:http';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { ClusterProgram } from '#control-plane/program/cluster.ts';
import { AUTHORITY_SECRET, TRUST_CONFIG_MAP } from '#core/contract/names.ts';
import type { StatusView } from '#core/contract/view.ts';
import { createLogger, type Logger, silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { FOLLOWED_KINDS } from '#objects/kinds.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { serviceKind } from '#objects/service.ts';
import { telemetryPolicyKind } from '#objects/telemetry-policy.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_SECRET };
const HOUR_MS = 3600_000;
const ROUTE = { kind: grpcRouteKind, namespace: 'shop', name: 'canary' };

describe('control-plane/program: cluster', () => {
  let api: FakeApi;
  let program: ClusterProgram;

  beforeEach(() => {
    api = new FakeApi();
    api.put({ kind: namespaceKind, name: 'shop' }, { metadata: { labels: { 'weft.dev/inject': 'enabled' } } });
    api.put(
      { kind: serviceKind, namespace: 'shop', name: 'payment' },
      { spec: { clusterIP: '10.0.0.1', ports: [{ name: 'grpc', port: 7070 }] } },
    );
    api.put(ROUTE, {
      metadata: { generation: 1 },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'payment' }], rules: [{ backendRefs: [{ name: 'payment', port: 7070 }] }] },
    });
    program = programWith(systemTimers);
  });

  function programWith(timers: Timers, log: Logger = silentLogger): ClusterProgram {
    return new ClusterProgram({
      client: api,
      pod: { namespace: 'weft-system', name: 'weft-0' },
      trustDomain: 'test.local',
      meshName: 'weft',
      leafLifetimeMs: 60_000,
      host: '127.0.0.1',
      port: 0,
      viewPort: 0,
      timers,
      random: () => 0.5,
      log,
    });
  }

  const eventsOf = (reason: string): string[] =>
    api.writes.filter(({ path, body }) => path.endsWith('/events') && body?.reason === reason).map(({ body }) => String(body!.message));

  afterEach(() => program.stop());

  function ask(path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: program.viewPort, path }, (response) => {
        let body = '';
        response.on('data', (part) => (body += part));
        response.on('end', () => resolve({ status: response.statusCode!, body }));
      });
      call.on('error', reject);
      call.end();
    });
  }

  const report = async () => JSON.parse((await ask('/status')).body) as StatusView;

  it('serves when it knows everything, makes the authority and writes what a leader writes', async () => {
    await program.start();
    expect(await ask('/readyz')).to.deep.equal({ status: 200, body: 'ok\n' });
    expect(api.get(SECRET)).to.not.equal(undefined);
    await until(
      () => api.get({ kind: KINDS.ConfigMap, namespace: 'shop', name: TRUST_CONFIG_MAP }) !== undefined,
      'the roots are in the namespace',
    );
    await until(() => api.get(ROUTE)!.status !== undefined, 'the status is written');
    const { routes, reflectors, ...rest } = await report();
    expect(rest).to.deep.include({
      replica: 'weft-0',
      leader: true,
      trustDomain: 'test.local',
      missingKinds: [],
      problems: [],
      sidecars: [],
    });
    expect(routes).to.have.length(1);
    expect(routes[0]!.parents[0]).to.deep.include({ parent: 'shop/payment', applied: { want: 0, applied: 0, rejected: [] } });
    expect(reflectors.map(({ kind, synced }) => `${kind} ${synced}`))
      .to.include('Service true')
      .and.have.length(FOLLOWED_KINDS.length);
    const { body } = await ask('/metrics');
    expect(body).to.include('weft_control_plane_leader 1\n').and.include('weft_control_plane_reflector_synced{kind="Pod"} 1\n');
    expect(body).to.match(/^weft_control_plane_status_writes_total\{result="written"\} 1$/m);
  });

  it('follows a change, and a route that goes', async () => {
    await program.start();
    api.put(ROUTE, {
      ...api.get(ROUTE)!,
      metadata: { generation: 2 },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'paymnt' }] },
    });
    await until(async () => (await report()).routes[0]?.parents[0]?.conditions[0]?.status === 'False', 'the new verdict is known');
    api.drop(ROUTE);
    await until(async () => (await report()).routes.length === 0, 'the route is gone');
  });

  it('is not ready, and says why, while the API server keeps something back', async () => {
    let held = true;
    api.intercept = ({ path }) => {
      if (held && path.endsWith('/pods')) throw new KubeError('403 pods is forbidden', 403, 'Forbidden');
      return undefined;
    };
    const starting = program.start();
    await until(() => program.viewPort !== 0, 'the view listens');
    await until(async () => (await ask('/readyz')).body.includes('Pod (403 pods is forbidden)'), 'it says what it waits for');
    expect((await ask('/livez')).status).to.equal(200);
    expect((await report()).authorityNotAfterMs).to.equal(0);
    held = false;
    await starting;
    expect((await ask('/readyz')).status).to.equal(200);
  });

  it('names the rights that it lacks as a leader, until it has them', async () => {
    let denied = /\/(status|configmaps|leases)$/;
    api.intercept = ({ method, path }) => {
      if (method !== 'GET' && denied.test(path)) throw new KubeError(`403 ${method} is forbidden`, 403, 'Forbidden');
      return undefined;
    };
    program = programWith({ now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 20), then) });
    await program.start();
    const problems = async () => (await report()).problems.join('\n');
    await until(async () => /the Lease .* cannot be reached: 403/.test(await problems()), 'the Lease is named');
    denied = /\/(status|configmaps)$/;
    await until(async () => /statuses of routes cannot be written: 403/.test(await problems()), 'the statuses are named');
    await until(async () => /the roots cannot be put into namespace \S+ and 1 more: 403/.test(await problems()), 'the roots are named');
    expect(await problems()).to.not.include('the Lease');
    expect(await ask('/readyz')).to.include({ status: 200 });
    denied = /^$/;
    await until(async () => (await problems()) === '', 'all is well');
  });

  it('stops while it still waits', async () => {
    api.intercept = () => {
      throw new KubeError('nothing listens there', 0, 'ECONNREFUSED');
    };
    const starting = program.start();
    await until(() => program.viewPort !== 0, 'the view listens');
    await program.stop();
    await starting;
  });

  it('reports an authority that ends, and when it has ended; then it is not ready', async () => {
    const pem = await Authority.generate({ trustDomain: 'test.local', now: Date.now, lifetimeMs: 20 * 24 * HOUR_MS });
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    api.put(SECRET, { data: { 'tls.crt': base64(pem.certificate), 'tls.key': base64(pem.key) } });
    let aheadMs = 0;
    // A minute passes in a moment; what waits for an hour waits for ever.
    const after: Timers['after'] = (ms, then) => (ms >= HOUR_MS ? () => {} : systemTimers.after(ms >= 30_000 ? 20 : ms, then));
    program = programWith({ now: () => Date.now() + aheadMs, after });
    await program.start();
    await until(() => eventsOf('AuthorityExpires').length > 0, 'it is reported weeks before');
    expect((await ask('/readyz')).status).to.equal(200);
    expect((await report()).problems.join()).to.match(/expires at/);
    aheadMs = 21 * 24 * HOUR_MS;
    await until(() => eventsOf('AuthorityExpires').length > 1, 'it is reported at the end');
    expect(eventsOf('AuthorityExpires')[1]).to.match(/expired at .*: no certificates are issued/);
    expect(await ask('/readyz')).to.include({ status: 503 });
    expect((await ask('/livez')).status).to.equal(200);
  });

  it('keeps its key in the Secret: not in the log, in other objects, or on a page', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    program = programWith(systemTimers, createLogger({ level: 'debug', format: 'json', component: 'test', write, now: Date.now }));
    await program.start();
    const { data } = api.get(SECRET)! as unknown as { data: Record<string, string> };
    const key = Buffer.from(data['tls.key']!, 'base64').toString('utf8');
    // As a person might spoil it: the key where the certificate belongs.
    api.put(SECRET, { data: { 'tls.crt': data['tls.key'], 'tls.key': data['tls.crt'] } });
    await until(() => eventsOf('AuthorityUnusable').length > 0, 'the trouble is reported');
    api.drop(SECRET);
    await until(() => eventsOf('AuthorityRestored').length > 0, 'it is restored');
    await until(() => api.get({ kind: KINDS.ConfigMap, namespace: 'shop', name: TRUST_CONFIG_MAP }) !== undefined, 'the roots are out');
    const pages = await Promise.all(['/status', '/debug/resources', '/metrics', '/readyz'].map(async (path) => (await ask(path)).body));
    const written = api.writes.filter(({ path }) => !path.includes('/namespaces/weft-system/secrets'));
    expect(written.length).to.be.greaterThan(3);
    expect(lines.length).to.be.greaterThan(3);
    const text = JSON.stringify([lines, written, pages]);
    for (const secret of ['PRIVATE KEY', data['tls.key']!, ...key.split('\n').filter((line) => line.length > 20 && !line.startsWith('-'))])
      expect(text).to.not.include(secret);
  });

  it('reports a wrong label again where the namespace was made anew', async () => {
    const odd = { kind: namespaceKind, name: 'odd' };
    await program.start();
    api.put(odd, { metadata: { uid: 'one', labels: { 'weft.dev/inject': 'true' } } });
    await until(() => eventsOf('UnusableLabel').length === 1, 'it is reported');
    api.drop(odd);
    api.put(odd, { metadata: { uid: 'two', labels: { 'weft.dev/inject': 'true' } } });
    await until(() => eventsOf('UnusableLabel').length === 2, 'it is reported again');
  });

  it('reports a parentRef that nearly names a Service by an Event and a line of the log, never by a status', async () => {
    const stray = { kind: grpcRouteKind, namespace: 'shop', name: 'stray' };
    const lines: string[] = [];
    const log = createLogger({ level: 'info', format: 'json', component: 'test', write: (line) => lines.push(line) > 0, now: Date.now });
    program = programWith({ now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 20), then) }, log);
    await program.start();
    api.put(stray, { metadata: { generation: 1, uid: 'one' }, spec: { parentRefs: [{ kind: 'Service', name: 'payment' }], rules: [] } });
    await until(() => eventsOf('UnusableParent').length === 1, 'it is reported');
    expect(eventsOf('UnusableParent')[0]).to.include('did you mean {group: "", kind: Service, name: payment}?');
    const event = api.writes.find(({ body }) => body?.reason === 'UnusableParent')!.body!;
    expect(event.involvedObject).to.include({ kind: 'GRPCRoute', namespace: 'shop', name: 'stray', uid: 'one' });
    expect(lines.join()).to.include('a route is attached to nothing in the mesh');
    expect(api.get(stray)!.status).to.equal(undefined);
  });

  it('writes its verdict on an XTelemetryPolicy, beside those of others', async () => {
    const other = { ancestorRef: { name: 'gateway' }, controllerName: 'example.com/gateways', conditions: [{ type: 'Accepted' }] };
    const path = { kind: telemetryPolicyKind, namespace: 'shop', name: 'spans' };
    const targetRefs = [{ group: '', kind: 'Namespace', name: 'shop' }];
    await program.start();
    api.put(path, { metadata: { generation: 1 }, spec: { targetRefs, tracing: { mode: 'Disabled' } }, status: { ancestors: [other] } });
    const ancestors = () => (api.get(path)!.status as { ancestors: { ancestorRef: object; conditions: { type: string }[] }[] }).ancestors;
    await until(() => ancestors().length === 2, 'the verdict is written');
    expect(ancestors()[0]).to.deep.equal(other);
    expect(ancestors()[1]!.ancestorRef).to.deep.equal({ group: '', kind: 'Namespace', name: 'shop' });
    expect(ancestors()[1]!.conditions.map(({ type }) => type)).to.deep.equal(['Accepted', 'ResolvedRefs']);
    api.put(path, { ...api.get(path)!, spec: { targetRefs: [], tracing: {} } });
    await until(() => ancestors().length === 1, 'it goes with its target');
    expect((await report()).problems).to.deep.equal([]);
  });

  it('leaves nothing behind when it is stopped while it starts to serve', async () => {
    const listening = (): number => process.getActiveResourcesInfo().filter((what) => what === 'TCPServerWrap').length;
    const before = listening();
    let stopped: Promise<void> | undefined;
    const after: Timers['after'] = (ms, then) => {
      // The first wait of its own certificate: the last thing before it listens.
      if (ms > 25_000) stopped ??= program.stop();
      return systemTimers.after(ms, then);
    };
    program = programWith({ now: Date.now, after });
    await program.start();
    await stopped;
    expect(stopped).to.not.equal(undefined);
    await until(() => listening() === before, 'its ports are free');
  });

  it('goes on serving for a while when it is to stop, as a replica that is not ready and does not lead', async () => {
    const LINGER_MS = 4321;
    let end = (): void => {};
    program = programWith({
      now: Date.now,
      after: (ms, then) => {
        if (ms !== LINGER_MS) return systemTimers.after(ms, then);
        end = then;
        return () => {};
      },
    });
    await program.start();
    await until(async () => (await report()).leader, 'it leads');
    let isOver = false;
    const stopped = program.stop(LINGER_MS).then(() => {
      isOver = true;
    });
    await until(async () => !(await report()).leader, 'the lease is given back');
    expect(await ask('/readyz')).to.deep.equal({ status: 503, body: 'stopping\n' });
    api.put(ROUTE, {
      ...api.get(ROUTE)!,
      metadata: { generation: 2 },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'paymnt' }] },
    });
    await until(async () => (await report()).routes[0]?.parents[0]?.conditions[0]?.status === 'False', 'a change is still in force');
    expect(isOver).to.equal(false);
    end();
    await stopped;
  });

  it('gives the lease back when it stops', async () => {
    await program.start();
    const lease = () =>
      (api.get({ kind: KINDS.Lease, namespace: 'weft-system', name: 'weft-control-plane' })?.spec as { holderIdentity?: string })
        ?.holderIdentity;
    await until(() => lease() === 'weft-0', 'it leads');
    await program.stop();
    expect(lease()).to.equal('');
  });
});
