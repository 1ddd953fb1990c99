// Deadlines: the wheel against a plain list, the grpc-timeout format, and calls that run out of time.
import { expect } from 'chai';
import fc from 'fast-check';
import { type Deadline, DeadlineWheel, formatGrpcTimeout, parseGrpcTimeout } from '#sidecar/forward/deadlines.ts';
import { CANCEL } from '#sidecar/http/reset-code.ts';
import { DATA, HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import { TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  codeOf,
  data,
  GRPC_OK,
  grpcAnswer,
  headerOf,
  headers,
  RawPeer,
  RawServer,
  request,
  settings,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

class Node implements Deadline {
  deadlineMs = 0;
  wheelNext: Deadline | null = null;
  wheelPrevious: Deadline | null = null;
  wheelSlot = -1;
  firedAtMs = -1;
  andAlso: () => void = () => {};
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  onDeadline(): void {
    this.firedAtMs = this.now();
    this.andAlso();
  }
}

describe('DeadlineWheel', () => {
  let nowMs = 0;
  const now = (): number => nowMs;
  /** One beat of its timer. */
  const turn = (wheel: DeadlineWheel): void => (wheel as unknown as { turn(): void }).turn();
  const timerOf = (wheel: DeadlineWheel): unknown => (wheel as unknown as { timer: unknown }).timer;

  it('fires each deadline once, not before its time and at most two slots after, and none that was removed', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 12_000 }) }),
      fc.record({ remove: fc.nat(50) }),
      fc.record({ pass: fc.integer({ min: 0, max: 40 }) }),
      fc.record({ pass: fc.integer({ min: 0, max: 9_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        nowMs = 12_345;
        const wheel = new DeadlineWheel(now);
        const nodes: Node[] = [];
        const removed = new Set<Node>();
        let lastTurnMs = nowMs;
        for (const s of steps) {
          if ('add' in s) {
            const node = new Node(now);
            wheel.add(node, nowMs + s.add);
            nodes.push(node);
          } else if ('remove' in s) {
            const node = nodes[s.remove];
            if (node === undefined || node.firedAtMs >= 0) continue;
            wheel.remove(node);
            removed.add(node);
          } else {
            nowMs += s.pass;
            turn(wheel);
            lastTurnMs = nowMs;
          }
          for (const node of nodes) {
            if (removed.has(node)) expect(node.firedAtMs).equal(-1);
            else if (node.firedAtMs >= 0) expect(node.firedAtMs).least(node.deadlineMs);
            else expect(node.deadlineMs).greaterThan(lastTurnMs - 20);
          }
        }
        for (const node of nodes) wheel.remove(node);
        expect(timerOf(wheel)).equal(null);
      }),
      { numRuns: 300 },
    );
  });

  it('goes on when a deadline takes others of its slot off the wheel', () => {
    nowMs = 0;
    const wheel = new DeadlineWheel(now);
    const nodes = Array.from({ length: 6 }, () => new Node(now));
    for (const node of nodes) wheel.add(node, 100);
    // The list runs from the last added; each takes its two successors away.
    nodes[5].andAlso = () => {
      wheel.remove(nodes[4]);
      wheel.remove(nodes[3]);
    };
    nowMs = 200;
    turn(wheel);
    expect(nodes.map((node) => node.firedAtMs)).deep.equal([200, 200, 200, -1, -1, 200]);
    expect(timerOf(wheel)).equal(null);
  });

  it('needs no timer while it is empty', () => {
    const wheel = new DeadlineWheel(now);
    expect(timerOf(wheel)).equal(null);
    const node = new Node(now);
    wheel.remove(node);
    wheel.add(node, nowMs + 50);
    expect(timerOf(wheel)).not.equal(null);
    wheel.remove(node);
    expect(timerOf(wheel)).equal(null);
  });
});

describe('grpc-timeout', () => {
  it('is read as gRPC defines it, and nothing else is', () => {
    const good: [string, number][] = [
      ['1H', 3_600_000],
      ['2M', 120_000],
      ['3S', 3000],
      ['200m', 200],
      ['1500u', 1.5],
      ['0m', 0],
      ['99999999n', 99.999999],
    ];
    for (const [text, ms] of good) expect(parseGrpcTimeout(text), text).closeTo(ms, 1e-9);
    for (const text of ['', '1', '1x', 'm', '-1S', '+1S', '1.5S', ' 1S', '1 S', '999999999S', '1S\n', '1e3m', '0x1m']) {
      expect(parseGrpcTimeout(text), text).equal(-1);
    }
  });

  it('is written so that it is read as no more, and hardly less', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 3e14, noNaN: true }), (ms) => {
        const text = formatGrpcTimeout(ms);
        expect(text).match(/^[0-9]{1,8}[HMSmun]$/);
        const read = parseGrpcTimeout(text);
        expect(read).most(Math.max(ms, 0.001));
        expect(read).least(ms * 0.96 - 0.001);
      }),
    );
  });
});

describe('a call with a deadline', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(script: (peer: RawPeer) => void): Promise<void> {
    server = await RawServer.listen(script);
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('ends in 4 when it has passed, is cancelled at the endpoint, and leaves no timer', async () => {
    await setUp(() => {});
    client.write(headers(1, request('/s/M', ['grpc-timeout', '100S']), true));
    await until(() => server.all(HEADERS).length === 1, 'the endpoint has the call');
    proxy.skip(100_000);
    const end = await client.end(1);
    expect(headerOf(end.headers, 'grpc-status')).equal('4');
    expect(codeOf(await server.peers[0].find((f) => f.type === RST_STREAM))).equal(CANCEL);
    expect(proxy.count).deep.equal({ deadline: 1, 4: 1 });
    expect((proxy.proxy.deadlines as unknown as { timer: unknown }).timer).equal(null);
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('ends a response that has begun with trailers of 4; one that is not gRPC is reset', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type !== HEADERS) return;
        const plain = headerOf(f.headers, ':path') === '/plain';
        peer.write(headers(f.id, plain ? [':status', '200'] : GRPC_OK), data(f.id, 'part'));
      };
    });
    const timeout = ['grpc-timeout', '100S'];
    client.write(headers(1, request('/s/M', timeout), true), headers(3, request('/plain', timeout), true));
    for (const id of [1, 3]) await client.find((f) => f.id === id && f.type === DATA);
    proxy.skip(100_000);
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('4');
    expect((await client.end(3)).type).equal(RST_STREAM);
    expect(client.body(1).toString()).equal('part');
  });

  it('sends on what is left of it after a wait, and the very words when there was none', async () => {
    server = await RawServer.listen((peer) => {
      answering((id) => grpcAnswer(id))(peer);
      peer.polite = false; // its first frame must be SETTINGS
      setTimeout(() => peer.write(settings()), 30);
    }, Buffer.alloc(0));
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
    for (const id of [1, 3]) {
      client.write(headers(id, request('/s/M', ['grpc-timeout', '10S']), true));
      await client.end(id);
    }
    const [waited, direct] = server.all(HEADERS).map((f) => headerOf(f.headers, 'grpc-timeout')!);
    expect(parseGrpcTimeout(waited)).within(1000, 9980);
    expect(direct).equal('10S');
  });

  it('passes a malformed one on and sets no deadline', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    const odd = ['1x', '999999999S', '-1S', ''];
    client.write(...odd.map((text, i) => headers(2 * i + 1, request('/s/M', ['grpc-timeout', text]), true)));
    for (let i = 0; i < odd.length; i++) expect(headerOf((await client.end(2 * i + 1)).headers, 'grpc-status')).equal('0');
    expect(server.all(HEADERS).map((f) => headerOf(f.headers, 'grpc-timeout'))).deep.equal(odd);
  });

  it('0m ends at once', async () => {
    await setUp(() => {});
    client.write(headers(1, request('/s/M', ['grpc-timeout', '0m']), true));
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('4');
  });
});
