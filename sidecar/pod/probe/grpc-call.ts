// Asks the application of our own pod by gRPC: one unary call over a plaintext connection of its own, with messages
// that are encoded already.
import http2 from 'node:http2';
import type { Timers } from '#core/program/timers.ts';
import { framed, GrpcError, readAnswer, requestHeaders, STATUS } from '../../link/grpc-stream.ts';

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
 * Makes the call.
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
    readAnswer(
      stream,
      (octets) => octets,
      events,
      () => why || 'connection closed',
    );
    stream.end(framed(request));
  });
}
