// Mirrors: the copy gets the whole call, and whatever becomes of it the call does not notice.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { CANCEL } from '#sidecar/http/reset-code.ts';
import { HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import { RandomWords } from '#sidecar/observe/tracing/ids.ts';
import { Tracer } from '#sidecar/observe/tracing/tracer.ts';
import type { HeaderEdit, RuleRecord } from '#sidecar/route/records.ts';
import { backend, mirrorOf, portOf, rule, TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  codeOf,
  data,
  GRPC_OK,
  grpcAnswer,
  headerOf,
  headers,
  isEnd,
  RawPeer,
  RawServer,
  request,
  reset,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

describe('a mirrored call', () => {
  let main: RawServer;
  let shadow: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(script: (peer: RawPeer) => void, answer = answering((id) => grpcAnswer(id)), shadows?: number[]): Promise<void> {
    main = await RawServer.listen(answer);
    shadow = await RawServer.listen(script);
    proxy = await TestProxy.start({
      endpoints: { payment: [main.port], shadow: shadows ?? [shadow.port] },
      port: portOf(rule([backend('payment')], { mirrors: [mirrorOf('shadow')] })),
    });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    main.close();
    shadow.close();
  });

  async function call(id: number): Promise<string | undefined> {
    client.write(headers(id, request()), data(id, 'one,'));
    await client.settled();
    client.write(data(id, 'two'), headers(id, ['x-sum', '7'], true));
    return headerOf((await client.end(id)).headers, 'grpc-status');
  }

  const streamsLeft = (): number => proxy.leftovers.streams;

  it('goes whole to the shadow, whose answer is dropped', async () => {
    await setUp(answering((id) => grpcAnswer(id, 'from the shadow', '5')));
    expect(await call(1)).equal('0');
    expect(client.body(1).includes('shadow')).equal(false);
    await until(() => shadow.peers.length > 0 && shadow.peers[0].frames.some(isEnd), 'the copy is whole');
    const [sent] = shadow.all(HEADERS);
    expect(sent.headers).deep.equal(request());
    expect(shadow.peers[0].body(sent.id).toString()).equal('one,two');
    await until(() => streamsLeft() === 0, 'nothing is left');
  });

  const shadows: [string, (peer: RawPeer) => void][] = [
    [
      'answers before it has the call',
      (peer) => {
        peer.onFrame = (f) => {
          if (f.type === HEADERS) peer.write(headers(f.id, [...GRPC_OK, 'grpc-status', '12'], true));
        };
      },
    ],
    [
      'resets',
      (peer) => {
        peer.onFrame = (f) => {
          if (f.type === HEADERS) peer.write(reset(f.id, CANCEL));
        };
      },
    ],
    ['closes', (peer) => peer.socket.destroy()],
    ['breaks the protocol', (peer) => peer.write(data(0, 'x'))],
  ];
  for (const [what, script] of shadows) {
    it(`does not notice a shadow that ${what}`, async () => {
      await setUp(script);
      expect(await call(1)).equal('0');
      expect(await call(3)).equal('0');
      await until(() => streamsLeft() === 0, 'nothing is left');
      expect(proxy.count).deep.equal({ 0: 2 });
    });
  }

  const edits: HeaderEdit[] = [
    { op: 'remove', name: 'baggage', value: '' },
    { op: 'set', name: 'x-request-id', value: 'of the route' },
    { op: 'add', name: 'x-plain', value: 'of the route' },
  ];
  const mirrored: [string, RuleRecord][] = [
    ['its rule', rule([backend('payment', { requestEdits: edits })], { mirrors: [mirrorOf('shadow')] })],
    ['its backend', rule([backend('payment', { requestEdits: edits, mirrors: [mirrorOf('shadow')] })])],
  ];
  for (const [whose, served] of mirrored) {
    it(`goes to a mirror of ${whose} with the edits of the call, on names that vary too`, async () => {
      await setUp(answering((id) => grpcAnswer(id)));
      proxy.handle.current = { ...portOf(served), headersThatMatter: new Set(edits.map(({ name }) => name)) };
      const sent = ['baggage', 'user=secret', 'x-request-id', 'of the client', 'x-plain', 'of the client'];
      client.write(headers(1, request('/a.B/C', sent), true), headers(3, request('/a.B/C', ['x-plain', 'alone']), true));
      await client.end(1);
      await client.end(3);
      await until(() => shadow.all(HEADERS).length === 2, 'the copies are there');
      for (const server of [main, shadow]) {
        expect(server.all(HEADERS).map((f) => f.headers)).to.have.deep.members([
          request('/a.B/C', ['x-plain', 'of the client,of the route', 'x-request-id', 'of the route']),
          request('/a.B/C', ['x-plain', 'alone,of the route', 'x-request-id', 'of the route']),
        ]);
      }
    });
  }

  it('does not notice that nothing listens there', async () => {
    await setUp(() => {}, undefined, [1]);
    expect(await call(1)).equal('0');
    await until(() => streamsLeft() === 0, 'nothing is left');
  });

  it('belongs to the trace of its call, though it had to wait for a connection', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    proxy.telemetry.tracer = new Tracer({ parentBased: true, ratio: 1 }, new RandomWords(randomBytes(16)));
    client.write(headers(1, request(), true), headers(3, request(), true));
    await client.end(1);
    await client.end(3);
    await until(() => shadow.all(HEADERS).length === 2, 'the copies are there');
    const traces = (server: RawServer): (string | undefined)[] => server.all(HEADERS).map((sent) => headerOf(sent.headers, 'traceparent'));
    expect(new Set(traces(main))).to.have.length(2);
    expect(traces(shadow).sort()).to.deep.equal(traces(main).sort());
  });

  it('gives up a shadow that does not take its octets, and collects no copies for one that never answers', async () => {
    const answer = answering((id) => grpcAnswer(id));
    await setUp(
      () => {},
      (peer) => {
        peer.consuming = true;
        answer(peer);
      },
    );
    client.write(headers(1, request()));
    for (let i = 0; i < 12; i++) {
      client.write(data(1, Buffer.alloc(16_000)));
      await client.settled();
    }
    client.write(data(1, '', true));
    await client.end(1);
    expect(codeOf(await shadow.peers[0].find((f) => f.type === RST_STREAM))).equal(CANCEL);
    for (let id = 3; id < 2003; id += 2) {
      client.write(headers(id, request(), true));
      if (id % 100 === 1) await client.end(id);
    }
    await client.end(2001);
    expect(streamsLeft()).within(200, 256);
    expect(shadow.all(HEADERS).length).most(257);
  });

  it('cancels the copy when the call is cancelled', async () => {
    await setUp(
      () => {},
      () => {},
    );
    client.write(headers(1, request()), data(1, 'part'));
    await until(() => shadow.all(HEADERS).length === 1, 'the copy is there');
    client.write(reset(1, CANCEL));
    expect(codeOf(await shadow.peers[0].find((f) => f.type === RST_STREAM))).equal(CANCEL);
    await until(() => streamsLeft() === 0, 'nothing is left');
  });
});
