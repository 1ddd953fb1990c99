// The webhook's server: what is refused unread, and a certificate that changes under way.

import type { X509Certificate } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import https from 'node:https';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { generateServingAuthority, issueServing, type ServingPair } from '#certs/serving.ts';
import { gauge } from '#core/program/exposition.ts';
import { startHealth } from '#injector/health.ts';
import type { ReviewSender } from '#injector/review.ts';
import { LARGEST_REVIEW_BYTES, MOST_BUFFERED_OF_ONE, PARSED_BURST, startWebhookServer, type WebhookServer } from '#injector/server.ts';
import { type Crafted, craft, craftAuthority } from '#test/support/craft-certificate.ts';
import { until } from '#test/support/until.ts';

const NAME = 'weft-injector.weft-system.svc';

describe('the webhook’s server', () => {
  let authority: ServingPair;
  let server: WebhookServer;
  const seen: string[] = [];
  const refused: number[] = [];

  before(async () => {
    authority = await generateServingAuthority(NAME, Date.now(), 3600_000);
    const { certificate: cert, key } = await issueServing(authority, [NAME], Date.now(), 1000_000);
    server = await startWebhookServer({
      host: '127.0.0.1',
      port: 0,
      identity: { cert, key },
      now: Date.now,
      review: async (body) => {
        seen.push(body);
        return { status: 200, body: '{"ok":true}' };
      },
      onRefused: (status) => void refused.push(status),
    });
  });

  after(() => server.close());

  async function startSlow(answers: (() => void)[]): Promise<WebhookServer> {
    const { certificate: cert, key } = await issueServing(authority, [NAME], Date.now(), 1000_000);
    const review = () =>
      new Promise<{ status: number; body: string }>((resolve) => answers.push(() => resolve({ status: 200, body: '{}' })));
    return startWebhookServer({ host: '127.0.0.1', port: 0, identity: { cert, key }, now: Date.now, review, onRefused: () => {} });
  }

  function call(
    options: https.RequestOptions,
    body: string | Buffer | Buffer[] = '',
    ca = authority.certificate,
  ): Promise<{ status: number; text: string; headers: Record<string, unknown>; serial: string }> {
    return new Promise((resolve, reject) => {
      const request = https.request(
        { host: '127.0.0.1', port: server.port, servername: NAME, ca, method: 'POST', path: '/inject', agent: false, ...options },
        (response) => {
          let text = '';
          const serial =
            // A resumed session has none.
            (response.socket as unknown as { getPeerX509Certificate(): X509Certificate | undefined }).getPeerX509Certificate()
              ?.serialNumber ?? '';
          response.on('data', (chunk) => (text += chunk));
          response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers, serial }));
        },
      );
      // A refused body may not be read to its end.
      request.on('error', (error) => setImmediate(() => reject(error)));
      if (Array.isArray(body)) for (const part of body) request.write(part);
      else if (body.length > 0) request.write(body);
      request.end();
    });
  }

  const json = { 'content-type': 'application/json' };

  it('passes on a review, also with a query and with parameters of its type', async () => {
    const { status, text, headers } = await call(
      { path: '/inject?timeout=5s', headers: { 'content-type': 'application/json; charset=utf-8' } },
      '{"ü":1}',
    );
    expect({ status, text }).to.deep.equal({ status: 200, text: '{"ok":true}' });
    expect(headers['content-type']).to.equal('application/json');
    expect(seen.at(-1)).to.equal('{"ü":1}');
  });

  it('refuses other methods, paths, types and encodings unread', async () => {
    const before = seen.length;
    expect((await call({ method: 'GET' })).status).to.equal(405);
    expect((await call({ method: 'GET' })).headers.allow).to.equal('POST');
    expect((await call({ path: '/' })).status).to.equal(404);
    expect((await call({ path: '/inject/x', headers: json }, '{}')).status).to.equal(404);
    expect((await call({ headers: { 'content-type': 'text/plain' } }, '{}')).status).to.equal(415);
    expect((await call({}, '{}')).status).to.equal(415);
    expect((await call({ headers: { ...json, 'content-encoding': 'gzip' } }, gzipSync('{}'))).status).to.equal(415);
    expect(seen.length).to.equal(before);
    expect(refused).to.include.members([404, 405, 415]);
  });

  it('refuses a body that is or claims to be too large with 413', async () => {
    const before = seen.length;
    const told = await call({ headers: { ...json, 'content-length': LARGEST_REVIEW_BYTES + 1 } }).catch((error: Error) => error);
    if (!(told instanceof Error)) expect(told.status).to.equal(413);
    const count = refused.length;
    const parts = Array.from({ length: 9 }, () => Buffer.alloc(1024 * 1024, 0x20));
    const found = await call({ headers: json }, parts).catch((error: Error) => error);
    if (!(found instanceof Error)) expect(found.status).to.equal(413);
    expect(refused.slice(count)).to.deep.equal([413]);
    expect(seen.length).to.equal(before);
    expect((await call({ headers: json }, '{}')).status).to.equal(200);
  });

  it('keeps a silent connection longer than the API server does, so that no review meets a connection that is being closed', async () => {
    const agent = new https.Agent({ keepAlive: true });
    const { headers } = await call({ headers: json, agent }, '{}');
    agent.destroy();
    // client-go's transport gives idle connections up after 90 s (IdleConnTimeout of Go's default transport).
    expect(Number(/timeout=(\d+)/.exec(String(headers['keep-alive']))?.[1])).to.be.above(90);
  });

  it('counts what it holds until it is answered, not only until it is read', async () => {
    const largest = Buffer.alloc(LARGEST_REVIEW_BYTES, ' ');
    const fit = Math.floor(MOST_BUFFERED_OF_ONE / LARGEST_REVIEW_BYTES);
    const answers: (() => void)[] = [];
    const slow = await startSlow(answers);
    const to = { port: slow.port, headers: json };
    const held = Array.from({ length: fit }, () => call(to, largest));
    await until(() => answers.length === fit, 'all that fit to be read');
    expect((await call(to, largest)).status).to.equal(503);
    for (const answer of answers) answer();
    for (const { status } of await Promise.all(held)) expect(status).to.equal(200);
    const next = call(to, largest);
    await until(() => answers.length === fit + 1, 'room again');
    answers[fit]();
    expect((await next).status).to.equal(200);
    await slow.close();
  });

  const holding: ClientRequest[] = [];

  /** A review that does not end. @returns its HTTP status, or that it was cut */
  function hold(localAddress: string, octets: number): Promise<number | string> {
    return new Promise((resolve) => {
      const to = { host: '127.0.0.1', port: server.port, localAddress, rejectUnauthorized: false, method: 'POST', path: '/inject' };
      const request = https.request({ ...to, agent: false, headers: json }, (response) => resolve(response.resume().statusCode!));
      request.on('error', () => resolve('cut'));
      holding.push(request);
      request.write(Buffer.alloc(octets, ' '));
    });
  }

  it('answers an API server while one address, and while many, hold all that they can of bodies that do not end', async () => {
    const mib = 1024 * 1024;
    const one = Array.from({ length: 6 }, () => hold('127.0.0.66', 6.9 * mib));
    const ended = await Promise.race(one);
    expect(ended).to.be.oneOf([503, 'cut']);
    for (let i = 0; i < 5; i++) expect((await call({ headers: json }, 'x'.repeat(30_000))).status).to.equal(200);
    const many = Array.from({ length: 40 }, (_, i) => hold(`127.0.2.${i + 1}`, 1.5 * mib));
    expect(await Promise.race(many)).to.be.oneOf([503, 'cut']);
    for (let i = 0; i < 5; i++) expect((await call({ headers: json }, 'x'.repeat(30_000))).status).to.equal(200);
    for (const request of holding) request.destroy();
  });

  it('parses no more of one address than its share of the time, and hears its neighbour', async () => {
    const { certificate: cert, key } = await issueServing(authority, [NAME], Date.now(), 1000_000);
    const review = async () => ({ status: 200, body: '{}' });
    const still = await startWebhookServer({
      host: '127.0.0.1',
      port: 0,
      identity: { cert, key },
      now: () => 0,
      review,
      onRefused: () => {},
    });
    const largest = Buffer.alloc(LARGEST_REVIEW_BYTES, ' ');
    const fit = Math.floor(PARSED_BURST / LARGEST_REVIEW_BYTES);
    const agent = new https.Agent({ keepAlive: true });
    try {
      for (let i = 0; i < fit; i++) expect((await call({ port: still.port, headers: json, agent }, largest)).status).to.equal(200);
      expect((await call({ port: still.port, headers: json, agent }, largest)).status).to.equal(503);
      expect((await call({ port: still.port, headers: json, localAddress: '127.0.0.9' }, largest)).status).to.equal(200);
    } finally {
      agent.destroy();
      await still.close();
    }
  });

  it('hears no other sender than the API server where that can be known: by its authority, and by its name', async () => {
    const [clients, others] = [await craftAuthority(), await craftAuthority()];
    const { certificate: cert, key } = await issueServing(authority, [NAME], Date.now(), 1000_000);
    const senders: ReviewSender[] = [];
    const start = (names: readonly string[]) =>
      startWebhookServer({
        host: '127.0.0.1',
        port: 0,
        identity: { cert, key },
        now: Date.now,
        clients: { authorities: clients.pem, names },
        review: async (_, sender) => {
          senders.push(sender);
          return { status: 200, body: '{}' };
        },
        onRefused: () => {},
      });
    const shown = await craft(clients, { subject: 'O=kube, CN=kube-apiserver' });
    const foreign = await craft(others, { subject: 'CN=kube-apiserver' });
    const strict = await start([]);
    try {
      const as = (pair?: Crafted) => call({ port: strict.port, headers: json, cert: pair?.pem, key: pair?.keyPem }, '{}');
      expect((await as(shown)).status).to.equal(200);
      expect(senders).to.deep.equal([{ address: '127.0.0.1', authenticated: true }]);
      for (const stranger of [undefined, foreign]) expect(await as(stranger).catch((error: Error) => error)).to.be.instanceOf(Error);
      strict.setIdentity({ cert, key });
      expect(await as().catch((error: Error) => error), 'after a renewal, too').to.be.instanceOf(Error);
      expect((await as(shown)).status).to.equal(200);
    } finally {
      await strict.close();
    }
    const named = await start(['front-proxy']);
    const told = await call({ port: named.port, headers: json, cert: shown.pem, key: shown.keyPem }, '{}');
    expect([told.status, told.text]).to.deep.equal([403, 'the client certificate has another name\n']);
    const proxy = await craft(clients, { subject: 'CN=front-proxy' });
    expect((await call({ port: named.port, headers: json, cert: proxy.pem, key: proxy.keyPem }, '{}')).status).to.equal(200);
    await named.close();
  });

  it('ends each connection with its next answer once it is to stop: nothing is asked on one that is about to be closed', async () => {
    const answers: (() => void)[] = [];
    const leaving = await startSlow(answers);
    const agent = new https.Agent({ keepAlive: true });
    const to = { port: leaving.port, headers: json, agent };
    const connectionOf = async (nth: number) => {
      const answered = call(to, '{}');
      await until(() => answers.length === nth, 'it was asked');
      answers[nth - 1]();
      return (await answered).headers.connection;
    };
    expect(await connectionOf(1)).to.equal('keep-alive');
    leaving.beginStop();
    expect(await connectionOf(2)).to.equal('close');
    agent.destroy();
    await leaving.close();
  });

  it('takes 3 MiB and more, in pieces', async () => {
    const parts = Array.from({ length: 7 }, () => Buffer.alloc(1024 * 1024, 0x20));
    expect((await call({ headers: json }, parts)).status).to.equal(200);
    expect(seen.at(-1)).to.have.length(LARGEST_REVIEW_BYTES);
  });

  it('speaks no TLS older than 1.2, and no plaintext', async () => {
    const old = await call({ headers: json, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }, '{}').catch((error: Error) => error);
    expect(old).to.be.instanceOf(Error);
    expect((await call({ headers: json, maxVersion: 'TLSv1.2' }, '{}')).status).to.equal(200);
    await fetch(`http://127.0.0.1:${server.port}/inject`).then(
      () => expect.fail('plaintext was answered'),
      () => {},
    );
    expect((await call({ headers: json }, '{}')).status).to.equal(200);
  });

  it('serves another certificate from one connection to the next', async () => {
    const before = await call({ headers: json }, '{}');
    const next = await generateServingAuthority(NAME, Date.now(), 3600_000);
    const { certificate: cert, key } = await issueServing(next, [NAME], Date.now(), 1000_000);
    server.setIdentity({ cert, key });
    const after = await call({ headers: json }, '{}', authority.certificate + next.certificate);
    expect(after.status).to.equal(200);
    expect(after.serial).to.not.equal(before.serial);
    const old = await call({ headers: json }, '{}').catch((error: Error) => error);
    expect(old).to.be.instanceOf(Error);
    const wrongName = await call({ headers: json, servername: 'other.svc' }, '{}', next.certificate).catch((error: Error) => error);
    expect(String(wrongName)).to.include('other.svc');
  });
});

describe('the injector’s health port', () => {
  it('says what is missing', async () => {
    let missing = 'roots';
    const health = await startHealth({
      host: '127.0.0.1',
      port: 0,
      notReady: () => missing,
      metrics: (page) => page.add([gauge('m', 'M.', 1)]),
    });
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${health.port}${path}`, { method });
      return `${response.status} ${await response.text()}`;
    };
    expect(await get('/livez')).to.equal('200 ok\n');
    expect(await get('/readyz')).to.equal('503 roots\n');
    missing = '';
    expect(await get('/readyz?x')).to.equal('200 ok\n');
    expect(await get('/metrics')).to.equal('200 # HELP m M.\n# TYPE m gauge\nm 1\n');
    expect(await get('/other')).to.equal('404 not found\n');
    expect(await get('/livez', 'POST')).to.equal('405 only GET\n');
    await health.close();
  });
});
