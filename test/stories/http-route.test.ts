// HTTPRoutes on their whole way, over HTTP/2: a client, two sidecars with mTLS between them, and applications of plain
// HTTP. The routes are those of the Gateway API's conformance tests, attached to a Service.
import { expect } from 'chai';
import { type Http2Answer, type Http2App, Http2Caller, startHttp2App } from '../support/http2-app.ts';
import { TestMesh } from '../support/mesh.ts';
import { grpcRoute, httpRoute, to } from '../support/routes.ts';

const under = (value: string, more: object = {}) => ({ path: { type: 'PathPrefix', value }, ...more });
const rule = (match: object, backend: string, more: object = {}) => ({ matches: [match], backendRefs: [to(backend)], ...more });

describe('an HTTPRoute', () => {
  let mesh: TestMesh;
  let caller: Http2Caller;
  let v1: Http2App;
  let v2: Http2App;

  before(async () => {
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
        { name: 'v2', serves: true },
      ],
      services: { echo: ['v1', 'v2'], v1: ['v1'], v2: ['v2'], none: [] },
    });
    v1 = await startHttp2App('v1', mesh.appAddress('v1'));
    v2 = await startHttp2App('v2', mesh.appAddress('v2'));
    caller = new Http2Caller(mesh.address('caller', 'echo'));
  });

  beforeEach(() => {
    for (const app of [v1, v2]) {
      app.seen.length = 0;
      app.answer = () => ({ ':status': 200 });
    }
  });

  after(async () => {
    caller.close();
    await mesh.close();
    for (const app of [v1, v2]) app.close();
  });

  async function use(...rules: object[]): Promise<void> {
    mesh.setRoutes([httpRoute(rules)]);
    await mesh.settled();
  }

  /** "v1", or the status of what no application answered. */
  const answerer = ({ status, body }: Http2Answer): string => (status === 200 ? body : `${status}`);

  it('leads by path, method, query and headers, and what matches nothing gets 404', async () => {
    await use(
      rule(under('/v2'), 'v2'),
      rule(under('/', { method: 'POST' }), 'v2'),
      rule(under('/', { queryParams: [{ name: 'animal', value: 'whale' }] }), 'v1'),
      rule(under('/', { headers: [{ name: 'version', value: 'two' }] }), 'v2'),
      rule({ path: { type: 'Exact', value: '/exact' } }, 'v1'),
      rule({ path: { type: 'RegularExpression', value: '/items/[0-9]+' } }, 'v1'),
    );
    const asked = async (path: string, headers = {}) => answerer(await caller.ask(path, headers));
    expect(await asked('/v2/example?x=1')).to.equal('v2');
    expect(await asked('/v2example')).to.equal('404');
    expect(await asked('/', { ':method': 'POST' })).to.equal('v2');
    expect(await asked('/any?animal=whale')).to.equal('v1');
    expect(await asked('/any?animal=whale', { version: 'two' })).to.equal('v2');
    expect(await asked('/exact?q')).to.equal('v1');
    expect(await asked('/exact/')).to.equal('404');
    expect(await asked('/items/77')).to.equal('v1');
    expect(await asked('/items/x')).to.equal('404');
    const lost = await caller.ask('/nowhere?secret=1');
    expect(lost.body).to.match(/^weft: no_route: no route of shop\/echo:8080 matches GET \/nowhere\n$/);
  });

  it('shares by weight, per request of one connection', async () => {
    await use({ backendRefs: [to('v1', 7), to('v2', 3)] });
    for (let i = 0; i < 200; i++) await caller.ask(`/item/${i}`);
    expect(v1.seen.length).to.be.closeTo(140, 4);
    expect(v1.seen.length + v2.seen.length).to.equal(200);
  });

  it('fails the share of a backend that is not there with 500, and of one without endpoints with 503', async () => {
    await use(rule(under('/gone'), 'gone'), rule(under('/none'), 'none'));
    expect((await caller.ask('/gone')).body).to.match(/^weft: invalid_backend: there is no Service "shop\/gone"/);
    expect((await caller.ask('/gone')).status).to.equal(500);
    expect((await caller.ask('/none')).status).to.equal(503);
  });

  it('edits headers, rewrites host and path, and mirrors', async () => {
    const filters = [
      { type: 'RequestHeaderModifier', requestHeaderModifier: { add: [{ name: 'X-Added', value: 'b' }], remove: ['x-removed'] } },
      { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'X-Answered', value: 'by-route' }] } },
      {
        type: 'URLRewrite',
        urlRewrite: { hostname: 'one.example.org', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } },
      },
      { type: 'RequestMirror', requestMirror: { backendRef: to('v2') } },
    ];
    await use(rule(under('/old'), 'v1', { filters }));
    const answer = await caller.ask('/old/a?b=c', { 'x-added': 'a', 'x-removed': 'x', ':method': 'POST' }, 'body');
    expect(answer.headers['x-answered']).to.equal('by-route');
    const [request] = v1.seen;
    expect(request).to.include({ method: 'POST', path: '/new/a?b=c', authority: 'one.example.org', body: 'body' });
    expect(request.headers).to.include({ 'x-added': 'a,b' });
    expect(request.headers).to.not.have.property('x-removed');
    while (v2.seen.length === 0) await caller.ask('/nowhere');
    expect(v2.seen[0]).to.include({ path: '/new/a?b=c', body: 'body' });
  });

  it('redirects, with all of the place', async () => {
    const redirect = (requestRedirect: object) => ({ filters: [{ type: 'RequestRedirect', requestRedirect }] });
    await use(
      { matches: [under('/secure')], ...redirect({ scheme: 'https', statusCode: 301 }) },
      {
        matches: [under('/moved')],
        ...redirect({ hostname: 'example.org', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/here' } }),
      },
    );
    const secure = await caller.ask('/secure/a?b');
    expect([secure.status, secure.headers.location]).to.deep.equal([301, 'https://echo/secure/a?b']);
    const moved = await caller.ask('/moved/a?b', { ':method': 'POST' }, 'ignored');
    expect([moved.status, moved.headers.location]).to.deep.equal([302, 'http://example.org:8080/here/a?b']);
    expect(v1.seen.length + v2.seen.length).to.equal(0);
  });

  it('answers preflights, and says on answers what their origin may', async () => {
    const cors = { allowOrigins: ['https://*.example.org'], allowMethods: ['PUT'], allowCredentials: true };
    await use(rule(under('/'), 'v1', { filters: [{ type: 'CORS', cors }] }));
    const origin = 'https://shop.example.org';
    const preflight = await caller.ask('/', { ':method': 'OPTIONS', origin, 'access-control-request-method': 'PUT' });
    expect(preflight.status).to.equal(204);
    expect(preflight.headers).to.include({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'PUT',
      'access-control-max-age': '5',
    });
    expect(v1.seen).to.have.length(0);
    expect((await caller.ask('/', { origin })).headers).to.include({ 'access-control-allow-credentials': 'true', vary: 'Origin' });
    expect((await caller.ask('/', { origin: 'https://evil.org' })).headers).to.not.have.property('access-control-allow-origin');
  });

  it('ends what takes too long with 504, and tries again what its retry names', async () => {
    await use(
      rule(under('/slow'), 'v1', { timeouts: { request: '100ms' } }),
      rule(under('/retry'), 'v1', { retry: { codes: [503], attempts: 3, backoff: '1ms' } }),
      rule(under('/attempts'), 'v1', { timeouts: { backendRequest: '100ms' }, retry: { attempts: 1, backoff: '1ms' } }),
    );
    v1.answer = () => null;
    const slow = await caller.ask('/slow');
    expect([slow.status, slow.body]).to.deep.equal([504, 'weft: deadline: the call took longer than the route allows (100 ms)\n']);
    v1.answer = () => ({ ':status': v1.seen.length < 5 ? 503 : 200 });
    expect(answerer(await caller.ask('/retry', { ':method': 'POST' }, 'body'))).to.equal('v1');
    expect(v1.seen.filter(({ path, body }) => path === '/retry' && body === 'body')).to.have.length(4);
    v1.answer = () => (v1.seen.length === 6 ? null : { ':status': 200 });
    expect(answerer(await caller.ask('/attempts'))).to.equal('v1');
  });

  it('gives way to a GRPCRoute on its port, and comes back when that goes', async () => {
    const http = httpRoute([rule(under('/'), 'v1')]);
    mesh.setRoutes([http, grpcRoute([{ backendRefs: [to('v2')] }], { name: 'calls' })]);
    await mesh.settled();
    expect(answerer(await caller.ask('/'))).to.equal('v2');
    const [conflicted] = mesh.controlPlane.routeStates().filter(({ route }) => route.kind === 'HTTPRoute');
    expect(conflicted.conditions[0]).to.include({ type: 'Accepted', status: 'False', reason: 'Conflicted' });
    mesh.setRoutes([http]);
    await mesh.settled();
    expect(answerer(await caller.ask('/'))).to.equal('v1');
  });
});
