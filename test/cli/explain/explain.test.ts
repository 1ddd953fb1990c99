// `weft explain` on small directories: the answer, its text, and what it says to wrong questions.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { explainCommand } from '#cli/explain/command.ts';
import { explain } from '#cli/explain/explain.ts';
import { parseCallee, parseCaller, parseHeader, parseMethod, parseRequest } from '#cli/explain/inquiry.ts';
import { layOutExplanation } from '#cli/explain/layout.ts';
import type { ExplainReport } from '#cli/explain/report.ts';
import { COLOURED, PLAIN, styleFor } from '#cli/print/style.ts';
import { parseManifests } from '#control-plane/source/files/manifests.ts';
import { Failure, UsageError } from '#core/program/failure.ts';

const service = (name: string, more = '') => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {app: ${name}}
  ports: [{name: grpc, port: 8080, appProtocol: kubernetes.io/h2c}${more}]
`;
const deployment = (name: string, replicas: number) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {serviceAccountName: ${name}, containers: [{name: c, image: any}]}
`;
const route = (name: string, rules: string, options: { namespace?: string; parent?: string; created?: string } = {}) => `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: ${name}, namespace: ${options.namespace ?? 'shop'}${options.created === undefined ? '' : `, creationTimestamp: "${options.created}"`}}
spec:
  parentRefs: [{group: "", kind: Service, name: ${options.parent ?? 'payment'}, namespace: shop}]
  rules: ${rules}
`;
const BASE = [
  service('payment'),
  service('payment-v1'),
  service('payment-v2'),
  deployment('checkout', 1),
  deployment('payment-v1', 2),
  deployment('payment-v2', 1),
];
const V1 = '{name: payment-v1, namespace: shop, port: 8080}';
const toV1 = `[{backendRefs: [${V1}]}]`;

interface Question {
  from?: string;
  to?: string;
  method?: string;
  /** Of an HTTP request; its method is GET where none is said. */
  path?: string;
  httpMethod?: string;
  headers?: string[];
}

function ask(
  documents: readonly string[],
  { from = 'shop/checkout', to = 'payment', method = 'a.S/Get', path, httpMethod, headers = [] }: Question = {},
): ExplainReport {
  const { objects, problems } = parseManifests(documents.join('---'), 'mesh.yaml');
  expect(problems).to.deep.equal([]);
  const caller = parseCaller(from);
  const call = path === undefined ? { kind: 'grpc' as const, method: parseMethod(method) } : parseRequest(path, httpMethod);
  const inquiry = { from: caller, to: parseCallee(to, caller.namespace), call, headers: headers.map(parseHeader) };
  return explain(objects, inquiry, []);
}

const text = (report: ExplainReport) => layOutExplanation(report, PLAIN).join('\n');

describe('explain', () => {
  it('shows the winner, the filters, the shares and the endpoints of a canary', () => {
    const canary = route(
      'canary',
      `
    - name: forced
      matches: [{method: {service: a.S, method: Get}, headers: [{name: x-version, value: v2}]}]
      backendRefs: [{name: payment-v2, port: 8080}]
    - name: split
      matches: [{method: {service: a.S, method: Get}}]
      filters:
        - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Route, value: split}], remove: [x-old]}}
        - {type: RequestMirror, requestMirror: {backendRef: {name: payment-v2, port: 8080}, percent: 5}}
      backendRefs: [{name: payment-v1, port: 8080, weight: 90}, {name: payment-v2, port: 8080, weight: 10}]`,
    );
    expect(text(ask([...BASE, canary]))).to.equal(`\
shop/checkout calls a.S/Get of shop/payment, port 8080 (grpc)

result    GRPCRoute shop/canary, rule 2 "split"
          because service is "a.S", method is "Get"

filters   request   set x-route: split
          request   remove x-old
          mirror    5 % to shop/payment-v2:8080

backends  shop/payment-v1:8080  90 %  weight 90  2 ready endpoints, mTLS
          shop/payment-v2:8080  10 %  weight 10  1 ready endpoint, mTLS
          endpoints as if every pod of the directory ran with a sidecar

others    rule 1 "forced"  header x-version: wanted exact "v2", request has none`);
    const forced = ask([...BASE, canary], { headers: ['X-Version: v2'] });
    expect(forced.result).to.deep.include({ kind: 'rule', why: 'service is "a.S", method is "Get", header x-version is "v2"' });
    expect(forced.backends.map(({ service, share }) => [service, share])).to.deep.equal([['shop/payment-v2', 1]]);
    expect(forced.backends[0].endpoints).to.have.length(1);
    expect(forced.backends[0].endpoints[0]).to.include({ address: null, identity: 'spiffe://cluster.local/ns/shop/sa/payment-v2' });
  });

  it('says that no route is attached', () => {
    const report = ask(BASE, { to: 'payment-v1' });
    expect(report.result).to.deep.equal({ kind: 'default' });
    expect(report.backends[0]).to.include({ service: 'shop/payment-v1', share: 1 });
    expect(text(report)).to.include("no route is attached: the call goes to the Service's own endpoints");
  });

  it('says that nothing matches, and suggests the method that was perhaps meant', () => {
    const report = ask([...BASE, route('r', `[{matches: [{method: {service: a.S, method: Gett}}], backendRefs: [${V1}]}]`)]);
    expect(report.result).to.include({ kind: 'no match', status: 'UNIMPLEMENTED' });
    expect(text(report)).to.match(
      /UNIMPLEMENTED: .*none of their matches holds, did you mean "a\.S\/Gett"\?\n\nnearest {3}rule 1 {2}method: wanted exact "Gett", request has "Get"$/,
    );
  });

  it('says that a rule or a share fails, and why', () => {
    const missing = ask([...BASE, route('r', `[{backendRefs: [${V1}, {name: payment-v3, port: 8080}]}]`)]);
    expect(missing.backends.map(({ share }) => share)).to.deep.equal([0.5, 0.5]);
    expect(missing.backends[1].invalid).to.include('payment-v3');
    expect(text(missing)).to.match(/shop\/payment-v3:8080 +50 % +weight 1 +UNAVAILABLE: .*payment-v3/);
    expect(text(missing)).to.match(/routes +GRPCRoute shop\/r {2}ResolvedRefs=False BackendNotFound: /);
    const none = ask([...BASE, route('r', '[{}]')]);
    expect(none.result).to.include({ kind: 'broken rule', status: 'UNAVAILABLE' });
    expect(text(ask([...BASE, route('r', '[{backendRefs: [{name: payment, port: 8080}]}]')]))).to.include(
      'UNAVAILABLE: no ready endpoints',
    );
  });

  it('takes the routes of the caller’s namespace instead of the Service’s, and says so', () => {
    const both = [
      ...BASE,
      route('producer', toV1),
      route('consumer', `[{backendRefs: [{name: payment-v2, namespace: shop, port: 8080}]}]`, { namespace: 'office' }),
    ];
    const consumer = ask(both, { from: 'office', to: 'payment.shop' });
    expect(consumer.result).to.deep.include({ kind: 'rule', group: 'consumer' });
    expect(consumer.backends[0].service).to.equal('shop/payment-v2');
    expect(text(consumer)).to.include("by routes of the caller's own namespace");
    expect(ask(both).result).to.deep.include({ kind: 'rule', group: 'producer' });
  });

  it('tells the older route from the one that comes first by its name', () => {
    const two = (one?: string, other?: string) => ask([...BASE, route('a', toV1, { created: one }), route('b', toV1, { created: other })]);
    const older = two('2026-02-01T00:00:00Z', '2026-01-01T00:00:00Z');
    expect(older.result).to.have.nested.property('rule.route', 'b');
    expect(older.candidates[1].reason).to.match(/older \(2026-01-01T00:00:00Z against 2026-02-01T00:00:00Z\)$/);
    const named = two();
    expect(named.result).to.have.nested.property('rule.route', 'a');
    expect(named.candidates[1].reason).to.include('comes first by its name');
    expect(text(named)).to.match(/others +shop\/b rule 1 +matches too/);
  });

  it('shows what is wrong with routes that are attached, or were meant to be', () => {
    const unsupported = '[{matches: [{method: {type: Glob, service: a.S}}], backendRefs: []}]';
    const report = ask([...BASE, route('bad', unsupported), route('stray', toV1, { parent: 'paymnt' })]);
    const lines = text(report);
    expect(lines).to.match(/GRPCRoute shop\/bad {2}Accepted=False UnsupportedValue: .*Glob/);
    expect(lines).to.match(/GRPCRoute shop\/stray {2}Accepted=False NoMatchingParent: /);
  });

  it('names a parentRef that nearly names a Service, with what is likely right', () => {
    const near = route('near', toV1).replace('kind: Service, name', 'kind: service, name');
    const report = ask([...BASE, near]);
    expect(report.routes).to.deep.equal([]);
    expect(report.problems).to.deep.equal([
      'GRPCRoute shop/near: parentRefs[0], "service" "payment" of group "", is no parent in the mesh: did you mean {group: "", kind: Service, name: payment}?',
    ]);
    expect(text(report)).to.match(/problems +GRPCRoute shop\/near: /);
  });

  it('shows a weight of 0, and a share that is nearly all as less than all', () => {
    const weights = (v1: number, v2: number) =>
      text(
        ask([
          ...BASE,
          route('r', `[{backendRefs: [{name: payment-v1, port: 8080, weight: ${v1}}, {name: payment-v2, port: 8080, weight: ${v2}}]}]`),
        ]),
      );
    expect(weights(1, 0)).to.match(/payment-v2:8080 +0 % +weight 0/);
    expect(weights(1_000_000, 1)).to.match(/payment-v1:8080 +> 99\.9 % .*\n.*payment-v2:8080 +0\.0001 %/);
    expect(weights(2, 1)).to.match(/payment-v1:8080 +66\.7 %/);
  });

  it('reads endpoints that the directory itself holds', () => {
    const slice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: x, namespace: shop, labels: {kubernetes.io/service-name: payment-v1}}
addressType: IPv4
ports: [{name: grpc, port: 8080}]
endpoints: [{addresses: [10.1.2.3], conditions: {ready: true}}]
`;
    const report = ask([...BASE, slice], { to: 'payment-v1' });
    expect(report.backends[0]).to.deep.include({ assumed: false, endpoints: [{ address: '10.1.2.3:8080', pod: '', identity: '' }] });
    expect(text(report)).to.match(/1 ready endpoint, plaintext$/);
  });

  it('cuts a long list of losers, and says how many there are', () => {
    const matches = Array.from({ length: 30 }, (_, i) => `{method: {service: a.S, method: M${i}}}`).join(', ');
    const lines = text(ask([...BASE, route('r', `[{matches: [${matches}], backendRefs: [${V1}]}]`)]));
    expect(lines).to.match(/and 22 more; -o json shows all$/);
  });

  it('does not let a manifest drive the terminal', () => {
    const header = `[{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: "é"}]}}], backendRefs: [${V1}]}]`;
    const report = ask([...BASE, route('r', header)]);
    const hostile = { ...report, problems: ['\u001b[2J\u202e'] };
    expect(text(hostile)).to.include('\\u001b[2J\\u202e');
    expect(text(hostile)).to.include('set x: é');
  });
});

describe('explain: questions about what is not there', () => {
  const refuses = (question: Question, message: RegExp, documents = BASE) =>
    expect(() => ask(documents, question)).to.throw(Failure, message);

  it('suggests the nearest name', () => {
    refuses({ to: 'paymnt' }, /^there is no Service shop\/paymnt, did you mean "payment"\?$/);
    refuses({ to: 'zzz' }, /^there is no Service shop\/zzz$/);
    refuses({ from: 'office', to: 'payment' }, /^there is no Service office\/payment, did you mean "payment\.shop"\?$/);
    refuses({ from: 'shpo' }, /^there is no namespace shpo, did you mean "shop"\?$/);
    refuses({ from: 'shop/chekout' }, /^there is no Deployment or Pod shop\/chekout, did you mean "checkout"\?$/);
  });

  it('asks for the port where there are several, and lists them where there is none such', () => {
    const two = [service('payment', ', {name: metrics, port: 9090}')];
    refuses({ from: 'shop' }, /has several ports: 8080 \(grpc\), 9090 \(metrics\); say which, as in --to payment\.shop:8080$/, two);
    refuses({ from: 'shop', to: 'payment:http' }, /has no port http; it has 8080 \(grpc\), 9090 \(metrics\)$/, two);
    expect(ask(two, { from: 'shop', to: 'payment:metrics' }).to.port).to.equal(9090);
  });

  it('says that an ExternalName Service has no address', () => {
    const external =
      'apiVersion: v1\nkind: Service\nmetadata: {name: payment, namespace: shop}\nspec: {type: ExternalName, externalName: example.com, ports: [{port: 1}]}\n';
    refuses({ from: 'shop' }, /of type ExternalName/, [external]);
  });
});

describe('explain: the command', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'weft-explain-'));
    await writeFile(join(directory, 'mesh.yaml'), [...BASE, route('r', toV1)].join('---'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function run(...words: string[]): Promise<string> {
    let out = '';
    const stdout = new Writable({
      write(chunk, _, done) {
        out += chunk;
        done();
      },
    });
    const usual = ['--from', 'shop/checkout', '--to', 'payment', '--method', 'a.S/Get'];
    await explainCommand({ stdout, env: {} })
      .exitOverride()
      .parseAsync([...usual, ...words], { from: 'user' });
    return out;
  }
  const refusal = (promise: Promise<unknown>) =>
    promise.then(
      () => expect.fail('went well'),
      (error: unknown) => error as Error,
    );

  it('prints text, or JSON that is the report', async () => {
    expect(await run(directory)).to.match(/^shop\/checkout calls a\.S\/Get of shop\/payment, port 8080 \(grpc\)\n/);
    const report = JSON.parse(await run(directory, '-o', 'json', '-H', 'x-a:1', '-H', 'x-b:2')) as ExplainReport;
    expect(report.call).to.deep.equal({
      method: 'a.S/Get',
      headers: [
        ['x-a', '1'],
        ['x-b', '2'],
      ],
    });
    expect(report.result.kind).to.equal('rule');
  });

  it('goes on beside a broken file, and names it', async () => {
    await writeFile(join(directory, 'broken.yaml'), 'a: [');
    const out = await run(directory);
    expect(out).to.include('GRPCRoute shop/r, rule 1');
    expect(out).to.match(/problems +\S*broken\.yaml:1:\d+: /);
  });

  it('fails for a directory that is not there, and for wrong usage', async () => {
    expect(await refusal(run(join(directory, 'gone')))).to.be.instanceOf(Failure);
    expect(await refusal(run(directory, '-H', 'nonsense'))).to.be.instanceOf(UsageError);
  });
});

describe('print: the style of a stream', () => {
  it('has colours on a terminal only, and not where they are unwanted', () => {
    expect(styleFor({ isTTY: true }, {})).to.equal(COLOURED);
    expect(styleFor({ isTTY: true }, { NO_COLOR: '' })).to.equal(COLOURED);
    expect(styleFor({ isTTY: true }, { NO_COLOR: '1' })).to.equal(PLAIN);
    expect(styleFor({ isTTY: true }, { TERM: 'dumb' })).to.equal(PLAIN);
    expect(styleFor({}, {})).to.equal(PLAIN);
  });

  it('colours without changing the words', () => {
    const report = ask([...BASE, route('r', toV1)]);
    const coloured = layOutExplanation(report, COLOURED).join('\n');
    expect(coloured).to.include('\u001b[');
    expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).to.equal(text(report));
  });

  describe('an HTTP request', () => {
    const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: payment}]
  rules:
    - name: moved
      matches: [{path: {value: /old}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: shop.example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]
    - name: red
      matches: [{path: {value: /items}, method: GET, queryParams: [{name: color, value: red}]}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v1}}}]
      timeouts: {request: 2s}
      retry: {codes: [503], attempts: 3}
      backendRefs: [{name: payment-v1, port: 8080}]
    - name: items
      matches: [{path: {value: /items}}]
      backendRefs: [{name: payment-v2, port: 8080}, {name: payment-v3, port: 8080}]
`;

    it('shows path, query, rewrite, timeout and retry', () => {
      expect(text(ask([...BASE, httpRoute], { path: '/items/7?color=red' }))).to.equal(
        `\
shop/checkout calls GET /items/7?color=red of shop/payment, port 8080 (grpc)

result    HTTPRoute shop/web, rule 2 "red"
          because path begins with "/items", method is "GET", query color is "red"
          fails with 504 when it is not over within 2000 ms
          is tried again up to 3 times after a failed connection or an answer of 503

filters   rewrite   path /v1/7?color=red

backends  shop/payment-v1:8080  100 %  weight 1  2 ready endpoints, mTLS
          endpoints as if every pod of the directory ran with a sidecar

others    rule 3 "items"  matches too, but names no method
          rule 1 "moved"  path: wanted prefix "/old", request has "/items/7"
routes    HTTPRoute shop/web  ResolvedRefs=False BackendNotFound: rules[2].backendRefs[1]: there is no Service "shop/payment-v3", did you mean "payment-v1"?`.replace(
          '\nroutes',
          '\n\nroutes',
        ),
      );
    });

    it('shows where a redirect leads', () => {
      const report = ask([...BASE, httpRoute], { path: '/old/a?b', httpMethod: 'POST' });
      expect(report.call).to.deep.equal({ method: 'POST', path: '/old/a?b', headers: [] });
      expect(report.filters.redirect).to.deep.equal({ status: 302, location: 'http://shop.example.org:8080/new/a?b' });
      expect(text(report)).to.include('filters   redirect  302 http://shop.example.org:8080/new/a?b');
    });

    it('says which status a request fails with, and suggests a path', () => {
      expect(text(ask([...BASE, httpRoute], { path: '/item' }))).to.match(
        /^result +404: .*none of their matches holds, did you mean "\/items"\?$/m,
      );
      expect(text(ask([...BASE, httpRoute], { path: '/items' }))).to.match(/payment-v3:8080 +50 % +weight 1 +500: there is no Service/);
    });

    it('refuses what is no path or no method', () => {
      for (const path of ['items', '', '/a b', '/a#b', '/ä']) expect(() => parseRequest(path), path).to.throw(UsageError);
      for (const method of ['get', 'a.S/Get', '']) expect(() => parseRequest('/', method), method).to.throw(UsageError);
    });
  });
});
