// A small gRPC client on node:http2 for the control plane's two services: one verified TLS connection, unary and
// bidirectional calls. grpc-js would cost the sidecar 8 MB of anonymous memory; node:http2 with the stream open costs
// 0.8 MB (bundled, after a collection).
import http2 from 'node:http2';
import type net from 'node:net';
import tls from 'node:tls';
import { type DescMethodBiDiStreaming, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { controlPlaneSpiffeId } from '#core/contract/identity.ts';
import { validateSvid } from '#core/contract/svid.ts';
import type { Timers } from '#core/program/timers.ts';
import { type AnswerEvents, framed, GrpcError, grpcRequestHeaders, readAnswer, STATUS } from '../link/grpc-stream.ts';
import { Reach } from './reach.ts';

/** A control plane that was reached and does not finish the handshake by then is given up, in ms. */
const TLS_TIMEOUT_MS = 3000;
/** The peer of a connection is pinged so often; one that does not answer in time is gone. */
export const PING_INTERVAL_MS = 20_000;
export const PING_TIMEOUT_MS = 10_000;

export interface GrpcTarget {
  readonly host: string;
  readonly port: number;
  /** Its roots decide which control plane is believed; its certificate, if any, says who we are. */
  readonly secureContext: tls.SecureContext;
  readonly trustDomain: string;
  readonly timers: Timers;
  /** What is known of the way there; absent: nothing. */
  readonly reach?: Reach;
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
  /** Why calls that end without a status have ended. */
  private why = 'connection closed';

  private constructor(session: http2.ClientHttp2Session, target: GrpcTarget) {
    this.session = session;
    this.target = target;
    session.on('error', (error) => {
      this.why = error.message;
    });
    session.on('close', () => this.stopPing());
    this.ping();
  }

  /** @throws GrpcError (UNAVAILABLE) when there is no connection or the peer is not the control plane */
  static async connect(target: GrpcTarget): Promise<GrpcConnection> {
    const { host, port, timers } = target;
    const reach = target.reach ?? new Reach({ host, port, timers, random: Math.random });
    try {
      return await GrpcConnection.secure(await reach.open(), target);
    } catch (error) {
      throw new GrpcError(STATUS.unavailable, `${host}:${port}: ${(error as Error).message}`);
    }
  }

  /** @throws Error with the reason alone */
  private static secure(plain: net.Socket, target: GrpcTarget): Promise<GrpcConnection> {
    return new Promise((resolve, reject) => {
      const { host, port, secureContext, timers, trustDomain } = target;
      const fail = (reason: string): void => {
        stopTimer();
        socket.destroy();
        reject(new Error(reason));
      };
      const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message);
      const onClose = (): void => fail('closed during the handshake');
      const stopTimer = timers.after(TLS_TIMEOUT_MS, () => fail(`no TLS handshake within ${TLS_TIMEOUT_MS / 1000} s`));
      const socket = tls.connect({
        socket: plain,
        secureContext,
        ALPNProtocols: ['h2'],
        // The name that counts is the SPIFFE id; the chain is judged below, where the reason is known.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
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

  /** A bidirectional call. Every failure is reported by `ended`, also when the connection is already gone. */
  bidi<M extends DescMethodBiDiStreaming>(method: M, events: AnswerEvents<MessageShape<M['output']>>): BidiCall<MessageShape<M['input']>> {
    return this.open(method, {}, events).call;
  }

  private open<M extends DescMethodUnary | DescMethodBiDiStreaming>(
    method: M,
    metadata: Readonly<Record<string, string>>,
    events: AnswerEvents<MessageShape<M['output']>>,
  ): { call: BidiCall<MessageShape<M['input']>>; finish: () => void } {
    if (this.closed) {
      process.nextTick(() => events.ended(new GrpcError(STATUS.unavailable, this.why)));
      return { call: { send: () => {}, cancel: () => {} }, finish: () => {} };
    }
    const path = `/${method.parent.typeName}/${method.name}`;
    const stream = this.session.request({ ...metadata, ...grpcRequestHeaders(path, 'weft-sidecar') });
    const parse = (bytes: Uint8Array): MessageShape<M['output']> => fromBinary(method.output, bytes) as MessageShape<M['output']>;
    readAnswer(stream, parse, events, () => this.why);
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

  /** A peer that vanished without a FIN (node gone, network cut) is noticed by a PING that stays unanswered. */
  private ping(): void {
    const { timers } = this.target;
    this.stopPing = timers.after(PING_INTERVAL_MS, () => {
      if (this.closed) return;
      this.stopPing = timers.after(PING_TIMEOUT_MS, () => {
        this.why = 'no answer to a keepalive ping';
        this.session.destroy();
      });
      this.session.ping((error) => {
        this.stopPing();
        if (error === null && !this.closed) this.ping();
      });
    });
  }
}
