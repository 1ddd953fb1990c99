// Timeouts and retries of HTTPRoutes (HTTPRouteRule.timeouts and .retry): what is tried again, how often, and what is
// not.
import { expect } from 'chai';
import { MAX_RETRY_BUDGET, RetryBudget } from '#sidecar/forward/retry-budget.ts';
import { PROTOCOL_ERROR, REFUSED_STREAM } from '#sidecar/http/reset-code.ts';
import { DATA, HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import type { RetryRecord, RuleRecord } from '#sidecar/route/records.ts';
import { backend, type ProxyOptions, portOf, rule, TestProxy } from '#test/support/proxy.ts';
import { answering, data, headerOf, headers, RawPeer, RawServer, reset } from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const CLEAN = { held: 0, streams: 0, inFlight: 0 };

const retryOf = (attempts: number, ...codes: number[]): RetryRecord => ({ attempts, codes: new Set(codes), backoffMs: 1 });
const request = (method = 'GET'): string[] => [':method', method, ':scheme', 'http', ':path', '/', ':authority', 'payment'];
const status = (id: number, code: number): Buffer => headers(id, [':status', `${code}`], true);

describe('a call whose route asks for retries', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;
  let asked: number;

  /** The endpoint answers the n-th attempt (from 1) with what this gives; undefined: never. */
  async function setUp(
    of: Partial<RuleRecord>,
    answer: (id: number, attempt: number, peer: RawPeer) => Buffer | undefined,
    more: Partial<ProxyOptions> = {},
  ): Promise<void> {
    asked = 0;
    server = await RawServer.listen(answering((id, _request, peer) => answer(id, ++asked, peer) ?? Buffer.alloc(0)));
    proxy = await TestProxy.start({ endpoints: [server.port], port: portOf(rule([backend('payment')], of)), ...more });
    client = await RawPeer.connect(proxy.port);
  }

  async function ask(method = 'GET'): Promise<string | undefined> {
    client.write(headers(1, request(method), true));
    await client.end(1);
    return headerOf(client.of(1, HEADERS)[0].headers, ':status');
  }

  afterEach(() => {
    expect(proxy.leftovers).deep.equal(CLEAN);
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('survives as many bad answers as it has retries, and no more', async () => {
    await setUp({ retry: retryOf(3, 500, 503) }, (id, attempt) => status(id, attempt <= 3 ? 503 : 200));
    expect(await ask()).equal('200');
    expect(asked).equal(4);
    expect(proxy.count.retried).equal(3);
  });

  it('gets the last bad answer when its retries are used up', async () => {
    await setUp({ retry: retryOf(2, 500, 503) }, (id, attempt) => status(id, attempt === 3 ? 500 : 503));
    expect(await ask()).equal('500');
    expect(asked).equal(3);
  });

  it('is not tried again after another status', async () => {
    await setUp({ retry: retryOf(3, 503) }, (id) => status(id, 502));
    expect(await ask()).equal('502');
    expect(asked).equal(1);
  });

  it('is sent again with its body, of any method: the status was asked for', async () => {
    await setUp({ retry: retryOf(1, 503) }, (id, attempt) => status(id, attempt === 1 ? 503 : 200));
    client.write(headers(1, request('POST')), data(1, 'body', true));
    await client.end(1);
    expect(headerOf(client.of(1, HEADERS)[0].headers, ':status')).equal('200');
    const sent = server.all(HEADERS).map(({ id }) => server.peers[0].body(id).toString());
    expect(sent).deep.equal(['body', 'body']);
  });

  it('gets the bad answer where its body is too large to be kept', async () => {
    await setUp({ retry: retryOf(1, 503) }, (id) => status(id, 503));
    client.write(headers(1, request('POST')), data(1, 'a'.repeat(16_000)), data(1, 'b'.repeat(16_000), true));
    await client.end(1);
    expect(headerOf(client.of(1, HEADERS)[0].headers, ':status')).equal('503');
    expect(asked).equal(1);
  });

  it('is tried again after a reset or a lost connection where its method is idempotent', async () => {
    await setUp({ retry: retryOf(2) }, (id, attempt, peer) =>
      attempt === 1 ? reset(id, PROTOCOL_ERROR) : attempt === 2 ? peer.hangUp() : status(id, 200),
    );
    expect(await ask()).equal('200');
    expect(asked).equal(3);
  });

  it('is not tried again after a reset where its method is not', async () => {
    await setUp({ retry: retryOf(2) }, (id) => reset(id, PROTOCOL_ERROR));
    expect(await ask('POST')).equal('502');
    expect(asked).equal(1);
  });

  it('is tried once where the route says so, even if it surely was not processed', async () => {
    await setUp({ retry: retryOf(0) }, (id) => reset(id, REFUSED_STREAM));
    expect(await ask()).equal('503');
    expect(asked).equal(1);
  });

  it('is tried again when an attempt takes too long, and fails with 504 when the last one does', async () => {
    await setUp({ retry: retryOf(1), backendTimeoutMs: 30 }, (id, attempt) => (attempt === 1 ? undefined : status(id, 200)));
    expect(await ask()).equal('200');
    expect(asked).equal(2);
    await until(() => server.all(RST_STREAM).length === 1, 'the slow attempt is given up');
  });

  it('ends with its request timeout, whatever its attempts', async () => {
    await setUp({ retry: { ...retryOf(16, 503), backoffMs: 20 }, requestTimeoutMs: 60 }, (id) => status(id, 503));
    expect(['503', '504']).to.include(await ask());
    expect(asked).to.be.below(4);
  });

  it('is cut off when its answer takes longer than the route allows', async () => {
    await setUp({ requestTimeoutMs: 40 }, (id) => headers(id, [':status', '200']));
    client.write(headers(1, request(), true));
    const cut = await client.find(({ id, type }) => id === 1 && type === RST_STREAM);
    expect(cut.type).equal(RST_STREAM);
    expect(client.of(1, DATA)).length(0);
    expect(proxy.count.deadline).equal(1);
  });

  it('leaves nothing behind when its client goes while it waits for another attempt', async () => {
    await setUp({ retry: { ...retryOf(1, 503), backoffMs: 60_000 } }, (id) => status(id, 503));
    client.write(headers(1, request(), true));
    await until(() => proxy.count.retried === 1, 'it waits');
    client.write(reset(1, 8));
    await until(() => proxy.count[1] === 1, 'the call has ended');
    expect(asked).equal(1);
  });

  it('is not tried again when the budget of the backend is used up', async () => {
    await setUp({ retry: retryOf(1, 503) }, (id) => status(id, 503));
    for (let i = 0; i < 60; i++) {
      client.write(headers(2 * i + 1, request(), true));
      await client.end(2 * i + 1);
    }
    // Ten at once, a fifth of the calls, and ten a second.
    expect(proxy.count.retried).to.be.within(10, 59);
  });
});

describe('RetryBudget', () => {
  it('allows a fifth of the calls, and ten a second where there are few', () => {
    const budget = new RetryBudget();
    const taken = (nowMs: number): number => {
      let count = 0;
      while (budget.take(nowMs)) count++;
      return count;
    };
    expect(taken(1)).equal(10);
    expect(taken(1)).equal(0);
    expect(taken(1001)).equal(10);
    for (let i = 0; i < 100; i++) budget.earn();
    expect(taken(1001)).to.be.within(19, 20);
    for (let i = 0; i < 100_000; i++) budget.earn();
    expect(taken(1001)).equal(MAX_RETRY_BUDGET);
    expect(taken(600_000)).equal(10);
  });
});
