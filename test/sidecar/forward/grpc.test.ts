// Real peers through the proxy: grpc-js at both ends, all four kinds of call, and node:http2.
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { expect } from 'chai';
import { MAX_STREAM_BUFFER } from '#sidecar/http/limits.ts';
import { ECHO, type EchoServer, echoClient, startEcho } from '#test/support/grpc-echo.ts';
import { TestProxy } from '#test/support/proxy.ts';
import { until } from '#test/support/until.ts';

const same = (octets: Buffer): Buffer => octets;

interface Answer {
  code: number;
  details: string;
  message: Buffer | null;
  initial: grpc.Metadata | null;
  trailers: grpc.Metadata | null;
}

describe('grpc-js through the proxy', () => {
  let server: EchoServer;
  let proxy: TestProxy;
  let client: grpc.Client;

  before(async () => {
    server = await startEcho();
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = echoClient(proxy.port);
  });

  after(() => {
    client.close();
    proxy.close();
    server.close();
  });

  afterEach(async () => {
    await until(() => proxy.leftovers.streams === 0 && proxy.leftovers.held === 0 && proxy.series.inFlight === 0, 'nothing is left');
  });

  function unary(path: string, message: Buffer, metadata = new grpc.Metadata(), options: grpc.CallOptions = {}): Promise<Answer> {
    return new Promise((resolve) => {
      const answer: Answer = { code: -1, details: '', message: null, initial: null, trailers: null };
      const call = client.makeUnaryRequest(path, same, same, message, metadata, options, (_error, value) => {
        answer.message = value ?? null;
      });
      call.on('metadata', (initial: grpc.Metadata) => {
        answer.initial = initial;
      });
      call.on('status', (status) => resolve({ ...answer, code: status.code, details: status.details, trailers: status.metadata }));
    });
  }

  it('unary, with metadata both ways: text, binary, repeated', async () => {
    const metadata = new grpc.Metadata();
    metadata.add('x-text', 'a');
    metadata.add('x-text', 'b');
    metadata.add('x-octets-bin', Buffer.from([0, 255, 10, 13]));
    metadata.add('x-octets-bin', Buffer.alloc(0));
    metadata.add('x-long', 'l'.repeat(7000));
    const answer = await unary(ECHO.Unary.path, Buffer.from('hello'), metadata);
    expect(answer.code).equal(0);
    expect(answer.message?.toString()).equal('hello');
    for (const back of [answer.initial!, answer.trailers!]) {
      expect(back.get('x-text')).deep.equal(['a, b']);
      expect(back.get('x-long')).deep.equal(['l'.repeat(7000)]);
      expect(Buffer.concat(back.get('x-octets-bin') as Buffer[]).toString('hex')).equal('00ff0a0d');
    }
  });

  it('a status with a message in any script', async () => {
    const answer = await unary(ECHO.Fail.path, Buffer.alloc(0));
    expect([answer.code, answer.details]).deep.equal([grpc.status.FAILED_PRECONDITION, 'not ☃ yet\n100%']);
  });

  it('a method that the server does not have', async () => {
    expect((await unary('/test.Echo/Nothing', Buffer.alloc(0))).code).equal(grpc.status.UNIMPLEMENTED);
  });

  it('client streaming, 200 messages', async () => {
    const collected = await new Promise<Buffer>((resolve, reject) => {
      const call = client.makeClientStreamRequest(ECHO.Collect.path, same, same, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      );
      for (let i = 0; i < 200; i++) call.write(Buffer.from(`${i},`));
      call.end();
    });
    expect(collected.toString()).equal(`${Array.from({ length: 200 }, (_, i) => i).join(',')},`);
  });

  it('server streaming', async () => {
    const call = client.makeServerStreamRequest(ECHO.Repeat.path, same, same, Buffer.from('again'));
    const parts: string[] = [];
    for await (const part of call) parts.push((part as Buffer).toString());
    expect(parts).deep.equal(Array(10).fill('again'));
  });

  it('bidirectional ping-pong', async () => {
    const call = client.makeBidiStreamRequest(ECHO.Chat.path, same, same);
    for (let i = 0; i < 50; i++) {
      const answered = new Promise<Buffer>((resolve) => call.once('data', resolve));
      call.write(Buffer.from(`ping ${i}`));
      expect((await answered).toString()).equal(`ping ${i}`);
    }
    const ended = new Promise((resolve) => call.once('end', resolve));
    call.end();
    await ended;
  });

  it('a deadline: DEADLINE_EXCEEDED, and the server sees the cancellation', async () => {
    const { cancelled } = server;
    server.metadata = null;
    // As long as this machine needs to get a call there.
    for (let ms = 80; server.metadata === null; ms *= 2) {
      const answer = await unary(ECHO.Sleep.path, Buffer.alloc(0), new grpc.Metadata(), { deadline: Date.now() + ms });
      expect(answer.code).equal(grpc.status.DEADLINE_EXCEEDED);
    }
    await until(() => server.cancelled > cancelled, 'the server knows');
  });

  it('a cancellation before and after the first answer', async () => {
    const { cancelled } = server;
    const silent = client.makeUnaryRequest(ECHO.Sleep.path, same, same, Buffer.alloc(0), () => {});
    server.metadata = null;
    await until(() => server.metadata !== null, 'the call is there');
    silent.cancel();
    const endless = client.makeServerStreamRequest(ECHO.Repeat.path, same, same, Buffer.from('for ever'));
    endless.on('error', () => {});
    await new Promise((resolve) => endless.once('data', resolve));
    endless.cancel();
    await until(() => server.cancelled === cancelled + 2, 'the server knows of both');
  });

  it('a message of 20 MB there and back, of which little is ever held', async () => {
    const message = Buffer.alloc(20 * 1024 * 1024, 'weft');
    let held = 0;
    const look = setInterval(() => {
      held = Math.max(held, proxy.leftovers.held);
    }, 1);
    const answer = await unary(ECHO.Unary.path, message);
    clearInterval(look);
    expect(answer.code).equal(0);
    expect(answer.message?.equals(message)).equal(true);
    expect(held).most(4 * MAX_STREAM_BUFFER);
  });

  it('300 calls at once', async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => unary(ECHO.Unary.path, Buffer.alloc(i * 10, i))));
    answers.forEach((answer, i) => {
      expect([answer.code, answer.message?.length]).deep.equal([0, i * 10]);
    });
  });
});

describe('node:http2 through the proxy', () => {
  it('header lists as node encodes and decodes them: random, repeated, large, with Huffman code and its own table', async () => {
    const server = http2.createServer();
    server.on('stream', (stream, _headers, _flags, raw) => {
      const echo: Record<string, string[]> = {};
      for (let i = 0; i < raw.length; i += 2) if (raw[i].startsWith('x-')) (echo[raw[i]] ??= []).push(raw[i + 1]);
      stream.respond({ ':status': 200, ...echo });
      stream.end('done');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = await TestProxy.start({ endpoints: [(server.address() as AddressInfo).port] });
    const session = http2.connect(`http://127.0.0.1:${proxy.port}`, { settings: { headerTableSize: 1000 } });
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48_271) % 0x7fffffff) % n;
    try {
      for (let call = 0; call < 200; call++) {
        const sent: Record<string, string | string[]> = {};
        for (let i = random(12); i >= 0; i--) {
          const text = Array.from({ length: random(4) === 0 ? random(900) : random(20) }, () => String.fromCharCode(33 + random(94))).join(
            '',
          );
          sent[`x-${random(30)}`] = random(5) === 0 ? [text, `${call}`] : text;
        }
        const got = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
          const stream = session.request({ ':path': `/${random(5)}`, ...sent });
          stream.on('response', resolve);
          stream.on('error', reject);
          stream.resume();
        });
        for (const [name, value] of Object.entries(sent)) expect(got[name], name).equal(Array.isArray(value) ? value.join(', ') : value);
      }
    } finally {
      session.destroy();
      proxy.close();
      server.close();
    }
  });
});
