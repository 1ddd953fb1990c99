// Sends a proxy-made error: Trailers-Only for gRPC, a status with a line of text for anything else.

import { makeField } from '../http/field.ts';
import { newHeaderSource } from '../http/header-source.ts';
import { NO_ERROR } from '../http2/codes.ts';
import type { Stream } from '../http2/stream.ts';
import { messageField, type ProxyError } from './errors.ts';

/**
 * @param grpcStatus the status that a gRPC client sees, usually error.grpc
 * @param head the request was HEAD: the answer has no content
 */
export function reply(down: Stream, error: ProxyError, message: string, grpc: boolean, grpcStatus: number, head: boolean): void {
  const { connection } = down;
  const text = `weft: ${error.label}: ${message}`;
  if (grpc) {
    const source =
      grpcStatus === error.grpc
        ? error.grpcSource
        : newHeaderSource([':status', '200', 'content-type', 'application/grpc', 'grpc-status', `${grpcStatus}`], null);
    connection.sendHeaders(down, source, [messageField(text)], true);
  } else {
    const body = Buffer.from(`${text}\n`, 'utf8');
    connection.sendHeaders(down, error.httpSource, [makeField('content-length', `${body.length}`, false, 0)], head);
    if (!head) connection.sendData(down, body, 0, body.length, true);
  }
  dropRest(down);
}

/** Asks the client to stop sending if it was answered before its request had ended: the rest is not needed (RFC 9113 §8.1). */
export function dropRest(down: Stream): void {
  if (!down.closed && down.localClosed && !down.remoteClosed) down.connection.reset(down, NO_ERROR);
}
