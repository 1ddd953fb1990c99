// What filters of HTTPRoutes do to calls: redirects and preflights that the proxy answers, rewrites, and CORS headers of
// answers.
import { expect } from 'chai';
import { HEADERS } from '#sidecar/http2/codes.ts';
import type { BackendRecord, CorsRecord, RedirectRecord, RuleRecord } from '#sidecar/route/records.ts';
import { backend, portOf, rule, TestProxy } from '#test/support/proxy.ts';
import { answering, headerOf, headers, RawPeer, RawServer } from '#test/support/raw-peer.ts';

const CLEAN = { held: 0, streams: 0, inFlight: 0 };
const REDIRECT: RedirectRecord = { scheme: '', hostname: 'example.org', path: null, port: 0, status: 301, responseEdits: null };
const CORS: CorsRecord = {
  anyOrigin: false,
  origins: [{ kind: 'exact', pattern: '', octets: '', test: (origin) => origin === 'https://a.org' }],
  credentials: false,
  methods: ['PUT'],
  headers: null,
  expose: 'x-one',
  maxAgeSeconds: 5,
};

function get(path = '/', more: readonly string[] = [], method = 'GET'): string[] {
  return [':method', method, ':scheme', 'http', ':path', path, ':authority', 'payment', ...more];
}

describe('a call under an HTTPRoute', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(of: Partial<BackendRecord>, ofRule: Partial<RuleRecord> = {}, answer: readonly string[] = []): Promise<void> {
    server = await RawServer.listen(answering((id) => headers(id, [':status', '200', ...answer], true)));
    const port = portOf(rule(ofRule.redirect ? [] : [backend('payment', of)], ofRule));
    proxy = await TestProxy.start({ endpoints: [server.port], port });
    client = await RawPeer.connect(proxy.port);
  }

  let nextId = 1;

  async function ask(list: readonly string[], endStream = true): Promise<string[]> {
    const id = nextId;
    nextId += 2;
    client.write(headers(id, list, endStream));
    return (await client.end(id)).headers;
  }

  const seen = (i = 0): string[] => server.all(HEADERS)[i].headers;

  beforeEach(() => {
    nextId = 1;
  });

  afterEach(() => {
    expect(proxy.leftovers).deep.equal(CLEAN);
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('is redirected by its rule, with the edits of answers, and no endpoint is asked', async () => {
    const responseEdits = [{ op: 'set' as const, name: 'x-by', value: 'weft' }];
    await setUp({}, { redirect: { ...REDIRECT, responseEdits } });
    const answer = await ask(get('/a?b=c'));
    expect(answer).deep.equal([':status', '301', 'location', 'http://example.org/a?b=c', 'x-by', 'weft']);
    expect(server.all(HEADERS)).length(0);
    expect(proxy.count).deep.equal({ 0: 1 });
  });

  it('is redirected by the backend that it falls to, also while its body comes', async () => {
    await setUp({ redirect: REDIRECT });
    expect(headerOf(await ask(get('/', [], 'POST'), false), 'location')).equal('http://example.org/');
  });

  it('is redirected to any number of places, none of which enters a table of HPACK', async () => {
    await setUp({}, { redirect: REDIRECT });
    for (let i = 0; i < 10; i++) expect(headerOf(await ask(get(`/${i}`)), 'location')).equal(`http://example.org/${i}`);
    // A literal without indexing (RFC 7541 §6.2.2) of name 46 of the static table.
    for (const { payload } of client.frames.filter(({ type }) => type === HEADERS))
      expect(payload.includes('\x0f\x1f', 0, 'latin1')).equal(true);
  });

  it('reaches the endpoint with another path and host', async () => {
    await setUp({ rewrite: { hostname: 'one.example.org', path: { kind: 'prefix', matched: '/old', replacement: '/new' } } });
    await ask(get('/old/a?b=c', ['x-other', 'same', 'host', 'payment']));
    expect(headerOf(seen(), ':path')).equal('/new/a?b=c');
    expect(headerOf(seen(), ':authority')).equal('one.example.org');
    expect(headerOf(seen(), 'host')).equal('one.example.org');
    expect(headerOf(seen(), 'x-other')).equal('same');
  });

  it('is edited and rewritten together, where the edits name a field that varies', async () => {
    const requestEdits = [{ op: 'set' as const, name: 'x-request-id', value: 'ours' }];
    await setUp({ requestEdits, rewrite: { hostname: '', path: { kind: 'full', path: '/one' } } });
    await ask(get('/any', ['x-request-id', 'theirs']));
    expect(headerOf(seen(), ':path')).equal('/one');
    expect(headerOf(seen(), ':authority')).equal('payment');
    expect(headerOf(seen(), 'x-request-id')).equal('ours');
  });

  it('is answered by the proxy where it is a preflight, and only then', async () => {
    await setUp({ cors: CORS });
    const preflight = get('/', ['origin', 'https://a.org', 'access-control-request-method', 'PUT'], 'OPTIONS');
    const answer = await ask(preflight);
    expect(headerOf(answer, ':status')).equal('204');
    expect(headerOf(answer, 'access-control-allow-origin')).equal('https://a.org');
    expect(headerOf(answer, 'access-control-allow-methods')).equal('PUT');
    expect(server.all(HEADERS)).length(0);
    expect(headerOf(await ask(get('/', ['origin', 'https://a.org'], 'OPTIONS')), ':status')).equal('200');
    expect(server.all(HEADERS)).length(1);
  });

  it('gets the CORS headers of its origin, instead of the endpoint’s', async () => {
    await setUp({ cors: CORS }, {}, ['access-control-allow-origin', '*', 'date', 'today', 'x-one', '1']);
    const answer = await ask(get('/', ['origin', 'https://a.org']));
    expect(headerOf(answer, 'access-control-allow-origin')).equal('https://a.org');
    expect(headerOf(answer, 'access-control-expose-headers')).equal('x-one');
    expect(headerOf(answer, 'vary')).equal('Origin');
    expect(headerOf(answer, 'date')).equal('today');
    const stranger = await ask(get('/', ['origin', 'https://b.org']));
    expect(headerOf(stranger, 'access-control-allow-origin')).equal(undefined);
    expect(headerOf(stranger, 'x-one')).equal('1');
  });
});
