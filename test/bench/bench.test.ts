// The parts of the benchmark that could lie: what counts as a whole answer, the configurations that are said to be
// equal, medians, options.
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import { answersWithoutTrailers, probe } from '../../bench/check.ts';
import { envoyConfig } from '../../bench/envoy-config.ts';
import { combine, type Measurement } from '../../bench/measure.ts';
import { clientWorkload, meshObjects } from '../../bench/mesh-objects.ts';
import { readOptions } from '../../bench/options.ts';
import { renderText } from '../../bench/table.ts';

const METHODS = ['/bench.A/One', '/bench.A/Two'];

const measurement = (more: Partial<Measurement>): Measurement => ({
  peer: 'weft',
  scenario: 'plain',
  shape: { connections: 4, streams: 50 },
  requests: 100,
  sent: 180,
  requestsPerSecond: 1000,
  p50Ms: 1,
  p99Ms: 2,
  errors: 0,
  cpuUs: [5],
  rssMiB: [50],
  anonymousMiB: [10],
  ...more,
});

describe('bench: whole answers', () => {
  let server: http2.Http2Server;
  let answer: (stream: http2.ServerHttp2Stream) => void;
  let port: number;

  before(async () => {
    server = http2.createServer();
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      answer(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });

  after(() => server.close());

  const wrong = (): Promise<number> => probe('127.0.0.1', port, METHODS[0], Buffer.alloc(5));
  const reply = (status: number, trailers: Record<string, string> | null, body = 'x') => {
    return (stream: http2.ServerHttp2Stream): void => {
      stream.respond({ ':status': status }, { waitForTrailers: trailers !== null });
      if (trailers !== null) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end(body);
    };
  };

  it('have status 200, a body and grpc-status 0', async () => {
    answer = reply(200, { 'grpc-status': '0' });
    expect(await wrong()).to.equal(0);
  });

  it('are not counted where an answer lacks one of the three', async () => {
    const cases: [string, (stream: http2.ServerHttp2Stream) => void][] = [
      ['no trailers', reply(200, null)],
      ['another trailer', reply(200, { 'x-other': '0' })],
      ['another status', reply(200, { 'grpc-status': '14' })],
      ['HTTP 503', reply(503, { 'grpc-status': '0' })],
      ['no body', reply(200, { 'grpc-status': '0' }, '')],
      ['a reset', (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)],
      ['a closed connection', (stream) => stream.session?.destroy()],
    ];
    for (const [name, each] of cases) {
      answer = each;
      expect(await wrong(), name).to.equal(40);
    }
  });

  it("are counted by h2load's sums: 28 octets beside header block and body are the least", () => {
    // As h2load 1.52 counted 2000 answers of nghttpd with and without --trailer.
    expect(answersWithoutTrailers(2000, 220_544, 22_352, 142_000)).to.equal(0);
    expect(answersWithoutTrailers(2000, 220_544 - 20_000, 22_352, 142_000)).to.be.within(1900, 2000);
  });
});

describe('bench: the configurations that are compared', () => {
  it('give Weft a GRPCRoute in force that names all methods, sets a header and splits 90/10', () => {
    const store = new ObjectStore();
    store.replaceAll(
      meshObjects({ protocol: 'grpc', methods: METHODS, backendAddress: '127.0.0.2', backendPorts: [9001, 9002], meshed: true }),
    );
    const options = { trustDomain: 'cluster.local', strictReferenceGrants: false };
    const { service, statuses } = translateService(store, 'bench/payment', options);
    expect(statuses.flatMap(({ conditions }) => conditions.map(({ type, status }) => `${type} ${status}`))).to.include.members([
      'Accepted True',
      'ResolvedRefs True',
    ]);
    const table = service!.ports[0].routes!;
    expect(table.matches.map(({ method }) => method?.kind.value)).to.have.members(['One', 'Two']);
    expect(table.rules[0].backends.map(({ ref, weight, invalid }) => [ref!.name, weight, invalid])).to.deep.equal([
      ['payment-v1', 90, ''],
      ['payment-v2', 10, ''],
    ]);
    expect(table.rules[0].filters).to.have.length(1);
    const endpoints = ['payment-v1', 'payment-v2'].map(
      (name) => translateService(store, `bench/${name}`, options).endpoints!.ports[0].endpoints,
    );
    expect(endpoints.map(([{ address, port, identity }]) => [address, port, identity])).to.deep.equal([
      ['127.0.0.2', 9001, 'spiffe://cluster.local/ns/bench/sa/backend'],
      ['127.0.0.2', 9002, 'spiffe://cluster.local/ns/bench/sa/backend'],
    ]);
    const { outbound } = clientWorkload('cluster.local', '127.0.0.1', 1234);
    expect([outbound[0].namespace, outbound[0].service]).to.deep.equal([service!.namespace, service!.name]);
  });

  it('give Envoy a route per method with the same header and split', () => {
    const text = JSON.stringify(
      envoyConfig({
        protocol: 'grpc',
        listenPort: 1,
        backendPorts: [9001, 9002],
        methods: METHODS,
        upstreamTls: null,
        downstreamTls: null,
      }),
    );
    for (const method of METHODS) expect(text).to.contain(`"match":{"path":"${method}"}`);
    expect(text.match(/"weight":90/g)).to.have.length(METHODS.length);
    expect(text.match(/"weight":10/g)).to.have.length(METHODS.length);
    expect(text.match(/"key":"x-weft-route","value":"bench"/g)).to.have.length(METHODS.length);
  });
});

describe('bench: figures', () => {
  it('combine rounds by medians and add errors', () => {
    const rounds = [3000, 1000, 1100].map((requestsPerSecond, i) => measurement({ requestsPerSecond, cpuUs: [i, 10 - i], errors: i }));
    const all = combine(rounds);
    expect([all.requestsPerSecond, all.cpuUs, all.errors, all.requests]).to.deep.equal([1100, [1, 9], 3, 300]);
  });

  it('are set against Envoy of the same scenario and shape; runs with errors are marked', () => {
    const text = renderText(
      [
        measurement({ errors: 2 }),
        measurement({ peer: 'envoy', requestsPerSecond: 250, cpuUs: [20] }),
        measurement({ scenario: 'mtls' }),
        measurement({ peer: 'envoy', scenario: 'mtls', shape: { connections: 1, streams: 1 }, requestsPerSecond: 1 }),
      ],
      [],
    );
    expect(text).to.match(/weft INVALID: 2 errors +1,000 +4\.00 +5\.0 +0\.25 +1 %/);
    expect(text).to.match(/4,50 +weft +1,000 +5\.0 /);
  });

  it('follow the options; an unknown option is refused by name', () => {
    const known = { peers: ['weft', 'envoy'], shapes: ['4,50', '1,1'], scenarios: ['plain', 'pair'] };
    expect(readOptions(['--only', 'envoy', '--shape', '1,1', '--quick'], known)).to.deep.equal({
      telemetry: false,
      openLoop: false,
      http1: false,
      tcp: false,
      only: ['envoy'],
      shapes: ['1,1'],
      scenarios: ['plain', 'pair'],
      seconds: 1,
      rounds: 1,
      requests: 0,
      growth: 0,
    });
    for (const args of [
      ['--only', 'envoi'],
      ['--shape', '2,2'],
      ['--seconds', 'x'],
      ['--rounds', '0'],
      ['--nonsense'],
      ['--requests', '-1'],
      ['--telemetry', '--open-loop'],
      ['--open-loop', '--tcp'],
      ['--http1', '--tcp'],
    ])
      expect(readOptions(args, known), args.join(' ')).to.have.property('problem').that.is.a('string').and.not.empty;
  });
});
