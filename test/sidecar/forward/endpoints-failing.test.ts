// Endpoints that break off, refuse, go away or answer wrongly: the client sees a status of the table, never success.
import { expect } from 'chai';
import { EJECTION_MAX_MS } from '#sidecar/balance/ejections.ts';
import { CONNECT_TIMEOUT, DIAL_ERRORS } from '#sidecar/forward/errors.ts';
import { CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM } from '#sidecar/http/reset-code.ts';
import {
  DATA,
  FLAG_END_STREAM,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
} from '#sidecar/http2/codes.ts';
import { dial } from '#sidecar/link/dial.ts';
import { type ProxyOptions, TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  codeOf,
  data,
  type Frame,
  frame,
  GRPC_OK,
  goaway,
  grpcAnswer,
  headerOf,
  headers,
  isEnd,
  RawPeer,
  RawServer,
  request,
  reset,
  settings,
  windowUpdate,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
/** Half of a message of ten octets. */
const HALF = Buffer.from('\0\0\0\0\x0ahalf');
const CLEAN = { held: 0, streams: 0, inFlight: 0 };

describe('endpoints that fail', () => {
  let servers: RawServer[] = [];
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(
    scripts: ((peer: RawPeer, index: number) => void)[],
    more: Partial<ProxyOptions> = {},
    opening?: Buffer,
  ): Promise<void> {
    servers = await Promise.all(scripts.map((script) => RawServer.listen(script, opening)));
    proxy = await TestProxy.start({ endpoints: servers.map((server) => server.port), ...more });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client?.socket.destroy();
    proxy?.close();
    for (const server of servers) server.close();
  });

  /** Makes a gRPC call with one message. @returns its grpc-status, or the reset's name */
  async function call(id = 1, path?: string): Promise<string> {
    client.write(headers(id, request(path)), data(id, 'request', true));
    return outcome(await client.end(id));
  }

  function outcome(end: Frame): string {
    return end.type === RST_STREAM ? `RST ${codeOf(end)}` : (headerOf(end.headers, 'grpc-status') ?? 'none');
  }

  /** An endpoint that runs a step when a request is complete. */
  const onCall =
    (step: (peer: RawPeer, id: number) => void): ((peer: RawPeer) => void) =>
    (peer) => {
      peer.onFrame = (f) => {
        if (isEnd(f)) step(peer, f.id);
      };
    };

  const begun = (id: number): Buffer => Buffer.concat([headers(id, GRPC_OK), data(id, HALF)]);

  const truncations: [string, (peer: RawPeer, id: number) => void, string][] = [
    ['closes in mid-message', (peer, id) => peer.socket.end(begun(id)), '14'],
    ['resets with NO_ERROR in mid-message', (peer, id) => peer.write(begun(id), reset(id, NO_ERROR)), '13'],
    ['resets with CANCEL in mid-message', (peer, id) => peer.write(begun(id), reset(id, CANCEL)), '1'],
    ['resets with ENHANCE_YOUR_CALM', (peer, id) => peer.write(begun(id), reset(id, ENHANCE_YOUR_CALM)), '8'],
    ['ends without trailers', (peer, id) => peer.write(begun(id), data(id, '', true)), '13'],
    ['ends with trailers that lack grpc-status', (peer, id) => peer.write(begun(id), headers(id, ['x', 'y'], true)), '13'],
    ['ends at its headers without grpc-status', (peer, id) => peer.write(headers(id, GRPC_OK, true)), '13'],
    ['resets right after its headers', (peer, id) => peer.write(headers(id, GRPC_OK), reset(id, INTERNAL_ERROR)), '13'],
    ['sends a whole message, then resets', (peer, id) => peer.write(headers(id, GRPC_OK), data(id, 'm'), reset(id, INTERNAL_ERROR)), '13'],
    ['closes before its headers', (peer) => peer.socket.end(), '14'],
    ['breaks its TCP connection', (peer) => peer.socket.resetAndDestroy(), '14'],
    ['resets before its headers', (peer, id) => peer.write(reset(id, INTERNAL_ERROR)), '13'],
    ['sends DATA before its headers', (peer, id) => peer.write(data(id, 'x')), '13'],
    ['sends no :status', (peer, id) => peer.write(headers(id, ['content-type', 'application/grpc'])), '13'],
    ['sends upper-case names', (peer, id) => peer.write(headers(id, [...GRPC_OK, 'X-Upper', '1'])), '13'],
    ['says 101', (peer, id) => peer.write(headers(id, [':status', '101'])), '13'],
    ['breaks the framing', (peer) => peer.write(frame(PING, 0, 0, Buffer.alloc(3))), '14'],
    ['sends octets that are no frames', (peer) => peer.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), '14'],
  ];
  for (const [what, step, status] of truncations) {
    it(`an endpoint that ${what}: ${status}`, async () => {
      await setUp([onCall(step)]);
      expect(await call()).equal(status);
      expect(client.of(1, HEADERS).filter((f) => (f.flags & FLAG_END_STREAM) !== 0)).length(1);
      expect(proxy.count[status]).equal(1);
      await client.settled();
      expect(proxy.leftovers).deep.equal(CLEAN);
    });
  }

  for (const length of [[], ['content-length', '10']]) {
    const endings: [string, (peer: RawPeer, id: number) => void][] = [
      ['closes', (peer, id) => peer.socket.end(Buffer.concat([headers(id, [':status', '200', ...length]), data(id, 'half')]))],
      ['resets NO_ERROR', (peer, id) => peer.write(headers(id, [':status', '200', ...length]), data(id, 'half'), reset(id, NO_ERROR))],
      ['resets CANCEL', (peer, id) => peer.write(headers(id, [':status', '200', ...length]), data(id, 'half'), reset(id, CANCEL))],
    ];
    for (const [what, step] of endings) {
      it(`plain HTTP ${length.length === 0 ? 'without' : 'with'} content-length whose endpoint ${what} in mid-body is reset, and not as a success`, async () => {
        await setUp([onCall(step)]);
        client.write(headers(1, GET, true));
        const end = await client.end(1);
        expect(end.type).equal(RST_STREAM);
        // Clients take NO_ERROR, and node:http2 also CANCEL, for an end without an error.
        expect(codeOf(end)).equal(INTERNAL_ERROR);
      });
    }
  }

  it('ping and max_streams: endpoints that are merely strict', async () => {
    await setUp(
      [
        (peer) => {
          peer.onFrame = (f) => {
            if (f.type === HEADERS) peer.write(frame(PING, 0, 0, Buffer.alloc(8, f.id)));
            if (isEnd(f)) peer.write(grpcAnswer(f.id));
          };
        },
      ],
      {},
      settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1),
    );
    const results = await Promise.all([1, 3, 5, 7, 9].map((id) => call(id)));
    expect(results).deep.equal(['0', '0', '0', '0', '0']);
    expect(servers[0].all(PING).length).greaterThan(0);
  });

  it('a plain HTTP answer to a gRPC call is passed as it is', async () => {
    await setUp([onCall((peer, id) => peer.write(headers(id, [':status', '503', 'content-type', 'text/html']), data(id, '<p>no', true)))]);
    expect(await call()).equal('none');
    expect(headerOf(client.of(1, HEADERS)[0].headers, ':status')).equal('503');
    expect(client.body(1).toString()).equal('<p>no');
    expect(proxy.count).deep.equal({ 14: 1 });
  });

  it('obeys a limit of 1 with many calls, and one that rises from 0', async () => {
    let most = 0;
    const open = new Map<RawPeer, number>();
    await setUp(
      [
        (peer) => {
          peer.onFrame = (f) => {
            if (f.type === HEADERS) open.set(peer, (open.get(peer) ?? 0) + 1);
            most = Math.max(most, open.get(peer) ?? 0);
            if (!isEnd(f)) return;
            setImmediate(() => {
              open.set(peer, open.get(peer)! - 1);
              peer.write(grpcAnswer(f.id));
            });
          };
          setTimeout(() => peer.write(settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1)), 20);
        },
      ],
      {},
      settings(SETTINGS_MAX_CONCURRENT_STREAMS, 0),
    );
    // A connection is dialled for a call that waits: never more of them than calls at once.
    const results: string[] = [];
    let begun = 0;
    const caller = async (): Promise<void> => {
      while (begun < 50) results.push(await call(2 * begun++ + 1));
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    expect(results.length).equal(50);
    expect(results.every((status) => status === '0')).equal(true);
    expect(most).equal(1);
    expect(servers[0].peers.length).within(1, 8);
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('waits for room on its one connection when the endpoint accepts no other', async () => {
    await setUp(
      [
        (peer, index) => {
          if (index > 0) return void peer.socket.destroy();
          peer.write(settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1));
          answering((id) => grpcAnswer(id))(peer);
        },
      ],
      {},
      Buffer.alloc(0),
    );
    const results = await Promise.all(Array.from({ length: 10 }, (_, i) => call(2 * i + 1)));
    expect(results).deep.equal(Array(10).fill('0'));
    expect(servers[0].peers.length).most(6);
  });

  it('a refused call is sent once more, elsewhere, with its body', async () => {
    let refusals = 1;
    const script = (peer: RawPeer): void => {
      peer.onFrame = (f) => {
        if (!isEnd(f)) return;
        if (refusals-- > 0) peer.write(reset(f.id, REFUSED_STREAM));
        else peer.write(grpcAnswer(f.id, peer.body(f.id)));
      };
    };
    await setUp([script, script]);
    expect(await call()).equal('0');
    expect(client.body(1).toString()).equal('request');
    expect(proxy.count).deep.equal({ retried: 1, 0: 1 });
  });

  it('refused again and again it ends in 14; with a body that is gone the client may send it again itself', async () => {
    await setUp([onCall((peer, id) => peer.write(reset(id, REFUSED_STREAM)))]);
    expect(await call()).equal('14');
    expect(proxy.count.retried).equal(3);
    expect(proxy.count.refused).equal(1);
    // Two DATA frames: no longer kept.
    client.write(headers(3, request()), data(3, 'one'));
    await client.settled();
    client.write(data(3, 'two', true));
    expect(outcome(await client.end(3))).equal(`RST ${REFUSED_STREAM}`);
    expect(proxy.count.retried).equal(3);
    expect(proxy.count.refused).equal(2);
    await client.settled();
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('refused before its body was complete: the rest follows on the second attempt', async () => {
    let refused = false;
    await setUp([
      (peer) => {
        peer.onFrame = (f) => {
          if (f.type === DATA && !refused) {
            refused = true;
            peer.write(reset(f.id, REFUSED_STREAM));
          } else if (isEnd(f)) peer.write(grpcAnswer(f.id, peer.body(f.id)));
        };
      },
    ]);
    client.write(headers(1, request()), data(1, 'first,'));
    await until(() => proxy.count.retried === 1, 'it is tried again');
    client.write(data(1, 'second'), headers(1, ['x-end', '1'], true));
    expect(outcome(await client.end(1))).equal('0');
    expect(client.body(1).toString()).equal('first,second');
  });

  it('GOAWAY that covers one of two calls: the other is served once, on a new connection', async () => {
    const served: string[] = [];
    await setUp([
      (peer, index) => {
        peer.onFrame = (f) => {
          if (!isEnd(f)) return;
          if (index === 0 && f.id === 3) {
            peer.write(goaway(1, NO_ERROR));
            setImmediate(() => peer.write(grpcAnswer(1)));
            served.push('first');
          } else if (index > 0) {
            served.push('second');
            peer.write(grpcAnswer(f.id));
          }
        };
      },
    ]);
    client.write(headers(1, request()), data(1, 'a', true), headers(3, request()), data(3, 'b', true));
    expect([outcome(await client.end(1)), outcome(await client.end(3))]).deep.equal(['0', '0']);
    expect(served).deep.equal(['first', 'second']);
    expect(servers[0].peers).length(2);
    await servers[0].peers[0].closed;
  });

  it('GOAWAY under 100 calls of which it covers one: the others are served, with their bodies of 16 kB', async () => {
    let count = 0;
    const wide = Buffer.concat([settings(SETTINGS_INITIAL_WINDOW_SIZE, 1_000_000), windowUpdate(0, 10_000_000)]);
    await setUp(
      [
        (peer, index) => {
          peer.onFrame = (f) => {
            if (!isEnd(f)) return;
            if (index > 0) peer.write(grpcAnswer(f.id, `${peer.body(f.id).length}`));
            else if (++count === 100) peer.write(goaway(1, NO_ERROR), grpcAnswer(1, '16000'));
          };
        },
      ],
      {},
      wide,
    );
    const ids = Array.from({ length: 100 }, (_, i) => 2 * i + 1);
    for (const id of ids) {
      client.write(headers(id, request()), data(id, Buffer.alloc(16_000), true));
      if (id % 20 === 19) await client.settled();
    }
    for (const id of ids) {
      expect(outcome(await client.end(id))).equal('0');
      expect(client.body(id).toString()).equal('16000');
    }
    expect(proxy.count).deep.equal({ 0: 100, retried: 99 });
    expect(proxy.upstreams.dump()[0].endpoints[0].ejected).equal(false);
  });

  it('GOAWAY with an error code does not kill the calls that it covers', async () => {
    await setUp([
      (peer, index) => {
        peer.onFrame = (f) => {
          if (!isEnd(f)) return;
          if (index === 0) peer.write(goaway(f.id, ENHANCE_YOUR_CALM));
          peer.write(grpcAnswer(f.id));
        };
      },
    ]);
    expect(await call()).equal('0');
    expect(await call(3)).equal('0');
    expect(proxy.upClosed).deep.equal(['goaway: ENHANCE_YOUR_CALM']);
  });

  it('an answer is an answer: 14 is not tried again, in trailers or alone', async () => {
    await setUp([
      onCall((peer, id) => {
        if (id === 1) peer.write(headers(id, [...GRPC_OK, 'grpc-status', '14'], true));
        else peer.write(grpcAnswer(id, 'm', '14'));
      }),
    ]);
    expect(await call(1)).equal('14');
    expect(await call(3)).equal('14');
    expect(proxy.count).deep.equal({ 14: 2 });
  });

  it('an endpoint that is not reached: calls go elsewhere, and it is not asked again with each', async () => {
    let lost = 0;
    const dead = 1;
    await setUp([answering((id) => grpcAnswer(id))], {
      dial: (endpoint, onOpen, onError) => {
        if (endpoint.port === dead) {
          lost++;
          setImmediate(() => onError(CONNECT_TIMEOUT, 'no TCP connection'));
          return () => {};
        }
        return dial(endpoint, '', { tlsClientContext: () => null, trustDomain: () => '' }, proxy.clock, Date.now, {
          onOpen,
          onError: (failure, detail) => onError(DIAL_ERRORS[failure], detail),
        });
      },
    });
    proxy.setEndpoints('payment', [servers[0].port, dead]);
    for (let id = 1; id < 101; id += 2) expect(await call(id)).equal('0');
    expect(lost).within(1, 3);
    expect(proxy.count.retried).equal(lost);
    expect(proxy.upstreams.dump()[0].endpoints.map((endpoint) => endpoint.ejected)).deep.equal([false, true]);
    expect([...proxy.upstreams.ejected(proxy.clock.nowMs)].map(([, count]) => count)).deep.equal([1]);
    expect([...proxy.upstreams.ejected(proxy.clock.nowMs + EJECTION_MAX_MS * 2)]).deep.equal([]);
  });

  it('an endpoint that accepts and closes at once: the next one is tried, and no loop of dials', async () => {
    await setUp([(peer) => peer.socket.destroy(), () => {}], {}, Buffer.alloc(0));
    servers[1].close();
    servers[1] = await RawServer.listen(answering((id) => grpcAnswer(id)));
    proxy.setEndpoints('payment', [servers[0].port, servers[1].port]);
    for (let id = 1; id < 21; id += 2) expect(await call(id)).equal('0');
    expect(servers[0].peers.length).most(3);
  });

  it('an endpoint that says SETTINGS and closes at once is given up after a few dials', async () => {
    await setUp([(peer) => peer.socket.end()], {}, settings(SETTINGS_MAX_CONCURRENT_STREAMS, 0));
    expect(await call()).equal('14');
    expect(servers[0].peers.length).most(4);
  });

  it('an endpoint that is replaced while calls wait for it: they go to the new one', async () => {
    await setUp([() => {}, answering((id) => grpcAnswer(id))], {}, Buffer.alloc(0));
    servers[1].close();
    servers[1] = await RawServer.listen(answering((id) => grpcAnswer(id)));
    proxy.setEndpoints('payment', [servers[0].port]);
    client.write(headers(1, request()), data(1, 'request', true));
    await servers[0].accept();
    proxy.setEndpoints('payment', [servers[1].port]);
    expect(outcome(await client.end(1))).equal('0');
  });

  it('an upstream protocol error costs the calls of that connection only', async () => {
    await setUp([
      (peer) => {
        peer.onFrame = (f) => {
          if (f.type === HEADERS && headerOf(f.headers, ':path') === '/s/Break') peer.write(frame(RST_STREAM, 0, 0, Buffer.alloc(4)));
          else if (isEnd(f)) peer.write(grpcAnswer(f.id));
        };
      },
    ]);
    expect(await call(1, '/s/Break')).equal('14');
    expect(await call(3)).equal('0');
    expect(proxy.upClosed[0]).contain('PROTOCOL_ERROR');
  });
});
