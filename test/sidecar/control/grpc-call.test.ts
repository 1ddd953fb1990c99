// The small gRPC client against servers that do as they please: odd framing, odd statuses, silence.
import { generateKeyPairSync } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { Authority, toPem } from '#certs/authority.ts';
import { Certificates, IssueRequestSchema, type IssueResponse, IssueResponseSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { Config, type SubscribeResponse, SubscribeResponseSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { GrpcConnection } from '#sidecar/control/grpc-call.ts';
import { newSecureContext } from '#sidecar/control/leaf.ts';
import { GrpcError, LARGEST_MESSAGE, STATUS } from '#sidecar/link/grpc-stream.ts';
import { TRUST_DOMAIN } from '../../support/issuing-server.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

type Handler = (stream: http2.ServerHttp2Stream) => void;

const OK_HEADERS = { ':status': 200, 'content-type': 'application/grpc+proto' };

function frame(payload: Uint8Array, flag = 0, length = payload.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, payload]);
}

const answer = (identity: string): Buffer => frame(toBinary(IssueResponseSchema, create(IssueResponseSchema, { identity })));

describe('sidecar/control: grpc-call', () => {
  let authority: Authority;
  let server: http2.Http2SecureServer;
  let port: number;
  let handler: Handler;
  const sessions = new Set<http2.ServerHttp2Session>();
  const connections: GrpcConnection[] = [];

  before(async () => {
    authority = await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now });
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const leaf = await authority.issueControlPlane(publicKey);
    server = http2.createSecureServer({
      cert: toPem('CERTIFICATE', leaf.chain[0]!),
      key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    });
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      handler(stream);
    });
    server.on('session', (session) => {
      sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => sessions.delete(session));
    });
    port = await listening(server);
  });
  afterEach(() => {
    for (const connection of connections.splice(0)) connection.close();
  });
  after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });

  async function connect(timers: Timers = systemTimers, to = port): Promise<GrpcConnection> {
    const secureContext = newSecureContext(authority.roots() as Buffer[], null);
    const connection = await GrpcConnection.connect({ host: '127.0.0.1', port: to, secureContext, trustDomain: TRUST_DOMAIN, timers });
    connections.push(connection);
    return connection;
  }

  async function unary(does: Handler, timeoutMs = 5000): Promise<IssueResponse | GrpcError> {
    handler = does;
    const connection = await connect();
    try {
      return await connection.unary(Certificates.method.issue, create(IssueRequestSchema), { authorization: 'Bearer x' }, timeoutMs);
    } catch (error) {
      expect(error).to.be.instanceOf(GrpcError);
      return error as GrpcError;
    }
  }

  /** Answers with these octets and this status. */
  const serve =
    (octets: Buffer, trailers: http2.OutgoingHttpHeaders | null): Handler =>
    (stream) => {
      stream.respond(OK_HEADERS, { waitForTrailers: trailers !== null });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
      stream.end(octets);
    };

  it('sends what gRPC wants and returns the answer', async () => {
    const seen = new Promise<http2.IncomingHttpHeaders>((resolve) => server.once('stream', (_stream, headers) => resolve(headers)));
    expect(await unary(serve(answer('a'), { 'grpc-status': '0' }))).to.include({ identity: 'a' });
    expect(await seen).to.include({
      ':method': 'POST',
      ':path': '/weft.v1.Certificates/Issue',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      authorization: 'Bearer x',
    });
  });

  const outcomes: readonly [string, Handler, number, string][] = [
    ['an error in trailers', serve(Buffer.alloc(0), { 'grpc-status': '8', 'grpc-message': 'too%20much %E2%9C%93' }), 8, 'too much ✓'],
    ['a message that is not percent-encoded', serve(Buffer.alloc(0), { 'grpc-status': '8', 'grpc-message': '100%' }), 8, '100%'],
    [
      'an error in headers only',
      (s) => s.respond({ ...OK_HEADERS, 'grpc-status': '16', 'grpc-message': 'no' }, { endStream: true }),
      16,
      'no',
    ],
    ['no status', serve(answer('a'), null), STATUS.unknown, 'status'],
    ['a status that is none', serve(answer('a'), { 'grpc-status': 'fine' }), STATUS.unknown, 'status'],
    ['OK without an answer', serve(Buffer.alloc(0), { 'grpc-status': '0' }), STATUS.internal, 'without an answer'],
    ['HTTP 503', (s) => s.respond({ ':status': 503 }, { endStream: true }), STATUS.unavailable, '503'],
    ['a compressed message', serve(frame(Buffer.from('x'), 1), { 'grpc-status': '0' }), STATUS.internal, 'compressed'],
    ['a message that is not protobuf', serve(frame(Buffer.from([0xff])), { 'grpc-status': '0' }), STATUS.internal, 'not understood'],
    [
      'a message larger than allowed, announced only',
      (s) => {
        s.respond(OK_HEADERS);
        s.write(frame(Buffer.alloc(10), 0, LARGEST_MESSAGE + 1));
      },
      STATUS.resourceExhausted,
      'message of',
    ],
    ['a reset', (s) => s.close(http2.constants.NGHTTP2_INTERNAL_ERROR), STATUS.unavailable, ''],
    ['a connection that goes', (s) => s.session!.destroy(), STATUS.unavailable, ''],
  ];
  for (const [name, does, code, text] of outcomes) {
    it(`${name} is status ${code}`, async () => {
      const error = await unary(does);
      expect(error).to.include({ code });
      expect((error as GrpcError).message).to.include(text);
    });
  }

  it('gives up on an answer that does not come, and cancels the call', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const error = await unary((stream) => {
      closed = new Promise((resolve) => stream.on('close', () => resolve(stream.rstCode)));
    }, 30);
    expect(error).to.include({ code: STATUS.deadlineExceeded });
    expect(await closed).to.equal(http2.constants.NGHTTP2_CANCEL);
  });

  it('reads messages however they are cut', async () => {
    const messages = fc.array(fc.string({ maxLength: 40 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(messages, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 }), async (nonces, cuts) => {
        const all = Buffer.concat(
          nonces.map((nonce) => frame(toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { nonce })))),
        );
        handler = (stream) => {
          stream.respond(OK_HEADERS, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          let at = 0;
          for (let i = 0; at < all.length; i++) {
            stream.write(all.subarray(at, at + cuts[i % cuts.length]!));
            at += cuts[i % cuts.length]!;
          }
          stream.end();
        };
        const connection = await connect();
        const got: string[] = [];
        const error = await new Promise<GrpcError>((ended) => {
          connection.bidi(Config.method.subscribe, { message: (message: SubscribeResponse) => got.push(message.nonce), ended });
        });
        connection.close();
        expect([error.code, got]).to.deep.equal([STATUS.ok, nonces]);
      }),
      { numRuns: 30 },
    );
  });

  it('notices a peer that has fallen silent, by a ping that stays unanswered', async () => {
    // A relay in between that can be told to swallow everything: the network is cut, nobody says goodbye.
    let cut = false;
    const relay = net.createServer((near) => {
      const far = net.connect(port, '127.0.0.1');
      near.on('data', (chunk) => cut || far.write(chunk));
      far.on('data', (chunk) => cut || near.write(chunk));
      near.on('error', () => far.destroy()).on('close', () => far.destroy());
      far.on('error', () => near.destroy());
    });
    const relayPort = await listening(relay);
    const waiting: { ms: number; then: () => void }[] = [];
    const timers: Timers = {
      now: Date.now,
      after(ms, then) {
        const entry = { ms, then };
        waiting.push(entry);
        return () => {
          const index = waiting.indexOf(entry);
          if (index >= 0) waiting.splice(index, 1);
        };
      },
    };
    const fire = (): number => {
      const [entry] = waiting.splice(0, 1);
      entry!.then();
      return entry!.ms;
    };
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
    };
    let arrived = false;
    handler = (stream) => {
      arrived = true;
      stream.respond(OK_HEADERS);
    };
    const connection = await connect(timers, relayPort);
    let error: GrpcError | null = null;
    const call = connection.bidi(Config.method.subscribe, {
      message: () => {},
      ended: (why) => {
        error = why;
      },
    });
    call.send({ $typeName: 'weft.v1.SubscribeRequest', message: { case: undefined } });
    await until(() => arrived);
    expect(fire(), 'the first ping is due').to.equal(20_000);
    await until(() => waiting.length === 1 && waiting[0]!.ms === 20_000); // answered: the next is due
    cut = true;
    fire();
    expect(error).to.equal(null);
    expect(fire(), 'and no answer').to.equal(10_000);
    await until(() => error !== null);
    expect(error).to.include({ code: STATUS.unavailable, message: 'no answer to a keepalive ping' });
    expect(waiting).to.deep.equal([]);
    relay.close();
  });

  it('says why there is no connection', async () => {
    const failure = async (to: number): Promise<string> =>
      connect(systemTimers, to).then(
        () => 'connected',
        (error: GrpcError) => `${error.code} ${error.message}`,
      );
    const closed = net.createServer();
    const closedPort = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await failure(closedPort)).to.equal(`14 127.0.0.1:${closedPort}: ECONNREFUSED`);
    const rude = net.createServer((socket) => socket.end('220 smtp\r\n'));
    const rudePort = await listening(rude);
    expect(await failure(rudePort)).to.match(/^14 127\.0\.0\.1:\d+: ERR_SSL_/);
    rude.close();
  });

  it('gives a control plane that says nothing little time for the handshake', async () => {
    const timers = new ManualTimers();
    const accepted: net.Socket[] = [];
    const silent = net.createServer((socket) => accepted.push(socket.on('error', () => {})));
    const failed = connect(timers, await listening(silent)).then(
      () => 'connected',
      (error: GrpcError) => error.message,
    );
    await until(() => accepted.length === 1 && timers.nextInMs() === 3000, 'it waits for the handshake alone');
    timers.advance(3000);
    expect(await failed).to.match(/: no TLS handshake within 3 s$/);
    silent.close();
    for (const socket of accepted) socket.destroy();
  });

  it('a call on a closed connection ends like any other', async () => {
    const connection = await connect();
    connection.close();
    const error = await new Promise<GrpcError>((ended) => connection.bidi(Config.method.subscribe, { message: () => {}, ended }).cancel());
    expect(error.code).to.equal(STATUS.unavailable);
  });
});

function listening(server: net.Server | http2.Http2SecureServer): Promise<number> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port)));
}
