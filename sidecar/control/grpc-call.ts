// A small gRPC client on node:http2 for the control plane's two services: one verified TLS connection, unary and bidirectional calls.
// grpc-js would cost the sidecar 8 MB of anonymous memory; node:http2 with the stream open costs 0.8 MB (bundled, after a collection).
import http2 from 'node:http2';
import tls from 'node:tls';
import { type DescMethodBiDiStreaming, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { controlPlaneSpiffeId } from '#core/contract/identity.ts';
import { validateSvid } from '#core/contract/svid.ts';
import type { Timers } from '#core/program/timers.ts';

/** A message larger than this ends the call (L8: what comes in is bounded). */
export const LARGEST_MESSAGE = 32 * 1024 * 1024;
/** TCP and TLS must be done by then. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection is asked so often whether its peer is still there, and given up when no answer comes. */
export const PING_INTERVAL_MS = 20_000;
export const PING_TIMEOUT_MS = 10_000;

/** The gRPC statuses we make or tell apart (grpc/doc/statuscodes.md). */
export const STATUS = {
  ok: 0,
  unknown: 2,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** A call that ended without OK, or a connection that failed (UNAVAILABLE). */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface GrpcTarget {
  readonly host: string;
  readonly port: number;
  /** Its roots decide whom we believe; its certificate, if any, says who we are. */
  readonly secureContext: tls.SecureContext;
  readonly trustDomain: string;
  readonly timers: Timers;
}

/** What a bidirectional call tells its owner. `ended` comes exactly once, last. */
export interface BidiEvents<Out> {
  message(message: Out): void;
  ended(error: GrpcError): void;
}

export interface BidiCall<In> {
  send(message: In): void;
  cancel(): void;
}

/** One HTTP/2 connection to the control plane, whose SPIFFE id was checked before anything was sent. */
export class GrpcConnection {
  private readonly session: http2.ClientHttp2Session;
  private readonly target: GrpcTarget;
  private stopPing: () => void = () => {};
  private why = 'connection closed';

  private constructor(session: http2.ClientHttp2Session, target: GrpcTarget) {
    this.session = session;
    this.target = target;
    session.on('error', (error) => this.blame(error.message));
    session.on('close', () => this.stopPing());
    this.ping();
  }

  /** @throws GrpcError (UNAVAILABLE) when there is no connection or the peer is not the control plane */
  static connect(target: GrpcTarget): Promise<GrpcConnection> {
    return new Promise((resolve, reject) => {
      const { host, port, secureContext, timers, trustDomain } = target;
      const fail = (reason: string): void => {
        stopTimer();
        socket.destroy();
        reject(new GrpcError(STATUS.unavailable, `${host}:${port}: ${reason}`));
      };
      const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message);
      const onClose = (): void => fail('closed during the handshake');
      const stopTimer = timers.after(CONNECT_TIMEOUT_MS, () => fail('no TLS connection within 10 s'));
      const socket = tls.connect({
        host,
        port,
        secureContext,
        ALPNProtocols: ['h2'],
        // The name that counts is the SPIFFE id; the chain is judged below, where the reason can be told.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      socket.setNoDelay(true);
      socket.on('error', onError);
      socket.on('close', onClose);
      socket.on('secureConnect', () => {
        if (!socket.authorized) return fail(`certificate refused: ${String(socket.authorizationError)}`);
        const expectedIdentity = controlPlaneSpiffeId(trustDomain);
        const verdict = validateSvid(socket.getPeerCertificate(false).raw, { trustDomain, nowMs: timers.now(), expectedIdentity });
        if (!verdict.ok) return fail(`certificate refused: ${verdict.reason}`);
        if (socket.alpnProtocol !== 'h2') return fail('it does not speak HTTP/2');
        stopTimer();
        socket.off('error', onError);
        socket.off('close', onClose);
        const session = http2.connect(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, { createConnection: () => socket });
        resolve(new GrpcConnection(session, target));
      });
    });
  }

  get closed(): boolean {
    return this.session.closed || this.session.destroyed;
  }

  /** Ends the connection and all calls on it. */
  close(): void {
    this.session.destroy();
  }

  /** @throws GrpcError for any outcome but one OK message */
  unary<In extends DescMethodUnary>(
    method: In,
    request: MessageShape<In['input']>,
    metadata: Readonly<Record<string, string>>,
    timeoutMs: number,
  ): Promise<MessageShape<In['output']>> {
    return new Promise((resolve, reject) => {
      let answer: MessageShape<In['output']> | null = null;
      let call: BidiCall<MessageShape<In['input']>> | null = null;
      let late = false;
      const stopTimer = this.target.timers.after(timeoutMs, () => {
        late = true;
        call?.cancel();
      });
      const stream = this.open(method, metadata, {
        message: (message: MessageShape<In['output']>) => {
          answer = message;
        },
        ended: (error) => {
          stopTimer();
          if (late) reject(new GrpcError(STATUS.deadlineExceeded, `no answer within ${timeoutMs} ms`));
          else if (error.code !== STATUS.ok) reject(error);
          else if (answer === null) reject(new GrpcError(STATUS.internal, 'OK without an answer'));
          else resolve(answer);
        },
      });
      call = stream.call;
      stream.call.send(request);
      stream.finish();
    });
  }

  /** A bidirectional call. What goes wrong is told by `ended`, also when the connection is already gone. */
  bidi<M extends DescMethodBiDiStreaming>(method: M, events: BidiEvents<MessageShape<M['output']>>): BidiCall<MessageShape<M['input']>> {
    return this.open(method, {}, events).call;
  }

  private open<M extends DescMethodUnary | DescMethodBiDiStreaming>(
    method: M,
    metadata: Readonly<Record<string, string>>,
    events: BidiEvents<MessageShape<M['output']>>,
  ): { call: BidiCall<MessageShape<M['input']>>; finish: () => void } {
    if (this.closed) {
      process.nextTick(() => events.ended(new GrpcError(STATUS.unavailable, this.why)));
      return { call: { send: () => {}, cancel: () => {} }, finish: () => {} };
    }
    const path = `/${method.parent.typeName}/${method.name}`;
    const stream = this.session.request({ ...metadata, ...requestHeaders(path, 'weft-sidecar') });
    const parse = (bytes: Uint8Array): MessageShape<M['output']> => fromBinary(method.output, bytes) as MessageShape<M['output']>;
    readCall(stream, parse, events, () => this.why);
    return {
      call: {
        send: (message) => {
          if (stream.writable) stream.write(framed(toBinary(method.input, message)));
        },
        cancel: () => stream.close(http2.constants.NGHTTP2_CANCEL),
      },
      finish: () => stream.end(),
    };
  }

  private blame(why: string): void {
    this.why = why;
  }

  // A peer that vanished without a FIN (node gone, network cut) is noticed by a PING that stays unanswered.
  private ping(): void {
    const { timers } = this.target;
    this.stopPing = timers.after(PING_INTERVAL_MS, () => {
      if (this.closed) return;
      this.stopPing = timers.after(PING_TIMEOUT_MS, () => {
        this.blame('no answer to a keepalive ping');
        this.session.destroy();
      });
      this.session.ping((error) => {
        this.stopPing();
        if (error === null && !this.closed) this.ping();
      });
    });
  }
}

export interface PlaintextCall {
  readonly host: string;
  readonly port: number;
  /** "/package.Service/Method". */
  readonly path: string;
  readonly request: Uint8Array;
  readonly userAgent: string;
  readonly timeoutMs: number;
  readonly timers: Timers;
}

/**
 * One unary call over a plaintext connection of its own, with encoded messages: for asking an application of our own pod, never the control plane.
 * @returns the answer's octets
 * @throws GrpcError for any outcome but one OK message
 */
export function callPlaintext({ host, port, path, request, userAgent, timeoutMs, timers }: PlaintextCall): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let answer: Uint8Array | null = null;
    let why = '';
    const session = http2.connect(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
    const finish = (error: GrpcError): void => {
      stopTimer();
      session.destroy();
      if (error.code !== STATUS.ok) reject(error);
      else if (answer === null) reject(new GrpcError(STATUS.internal, 'OK without an answer'));
      else resolve(answer);
    };
    const stopTimer = timers.after(timeoutMs, () => finish(new GrpcError(STATUS.deadlineExceeded, `no answer within ${timeoutMs} ms`)));
    session.on('error', (error: NodeJS.ErrnoException) => {
      why = error.code ?? error.message;
    });
    const stream = session.request(requestHeaders(path, userAgent));
    const events = { message: (octets: Uint8Array) => void (answer = Buffer.from(octets)), ended: finish };
    readCall(
      stream,
      (octets) => octets,
      events,
      () => why || 'connection closed',
    );
    stream.end(framed(request));
  });
}

function requestHeaders(path: string, userAgent: string): http2.OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc+proto', te: 'trailers', 'user-agent': userAgent };
}

/** A message as gRPC sends it: not compressed, its length, its octets. */
function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Reads one call's answer: messages as they are complete, then exactly one end. */
function readCall<Out>(
  stream: http2.ClientHttp2Stream,
  parse: (bytes: Uint8Array) => Out,
  events: BidiEvents<Out>,
  why: () => string,
): void {
  let status: GrpcError | null = null;
  let done = false;
  let peerEnded = false;
  let pending: Buffer[] = [];
  let pendingLength = 0;
  let needed = 5;
  const end = (error: GrpcError): void => {
    if (done) return;
    done = true;
    stream.close(http2.constants.NGHTTP2_CANCEL);
    events.ended(error);
  };
  stream.on('response', (headers, flags) => {
    const code = Number(headers[':status']);
    if (code !== 200) status = new GrpcError(STATUS.unavailable, `HTTP status ${code}`);
    else if (headers['grpc-status'] !== undefined || (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0) status = statusOf(headers);
  });
  stream.on('trailers', (trailers) => {
    status ??= statusOf(trailers);
  });
  stream.on('data', (chunk: Buffer) => {
    pending.push(chunk);
    pendingLength += chunk.length;
    while (!done && pendingLength >= needed) {
      const all = pending.length === 1 ? pending[0]! : Buffer.concat(pending);
      const length = all.readUInt32BE(1);
      if (all[0] !== 0) return end(new GrpcError(STATUS.internal, 'compressed message'));
      if (length > LARGEST_MESSAGE) return end(new GrpcError(STATUS.resourceExhausted, `message of ${length} octets`));
      needed = 5 + length;
      if (all.length >= needed) {
        const bytes = all.subarray(5, needed);
        pending = [all.subarray(needed)];
        pendingLength -= needed;
        needed = 5;
        let message: Out;
        try {
          message = parse(bytes);
        } catch (error) {
          return end(new GrpcError(STATUS.internal, `message not understood: ${(error as Error).message}`));
        }
        events.message(message);
      } else {
        pending = [all];
      }
    }
  });
  // The peer has ended its side; ours may still be open, so that 'close' would not come. Trailers may be told just after 'end'.
  const last = (): void =>
    end(status ?? (peerEnded ? new GrpcError(STATUS.unknown, 'ended without a status') : new GrpcError(STATUS.unavailable, why())));
  stream.on('end', () => {
    peerEnded = !stream.aborted && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR;
    setImmediate(last);
  });
  stream.on('error', (error) => {
    status ??= new GrpcError(STATUS.unavailable, error.message);
  });
  stream.on('close', last);
}

function statusOf(headers: http2.IncomingHttpHeaders): GrpcError {
  const raw = headers['grpc-status'];
  const code = raw === undefined || !/^\d{1,2}$/.test(String(raw)) ? STATUS.unknown : Number(raw);
  const text = String(headers['grpc-message'] ?? '');
  let details = text;
  try {
    details = decodeURIComponent(text);
  } catch {
    // A message that is not percent-encoded as it should be is shown as it came.
  }
  return new GrpcError(code, details === '' ? `gRPC status ${code}` : details);
}
