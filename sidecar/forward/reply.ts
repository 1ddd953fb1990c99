// Sends a proxy-made error: Trailers-Only for gRPC, a status with a line of text for anything else.

import { makeField } from '../http/field.ts';
import { newHeaderSource } from '../http/header-source.ts';
import { NO_ERROR } from '../http/reset-code.ts';
import type { MessageStream } from '../http/stream.ts';
import { messageField, type ProxyError } from './errors.ts';

/**
 * @param grpcStatus the status that a gRPC client sees, usually error.grpc
 * @param head the request was HEAD: the answer has no content
 */
export function reply(down: MessageStream, error: ProxyError, message: string, grpc: boolean, grpcStatus: number, head: boolean): void {
  const text = `weft: ${error.label}: ${message}`;
  if (grpc) {
    const source =
      grpcStatus === error.grpc
        ? error.grpcSource
        : newHeaderSource([':status', '200', 'content-type', 'application/grpc', 'grpc-status', `${grpcStatus}`], null);
    down.sendHeaders(source, [messageField(text)], true);
  } else {
    const body = Buffer.from(`${text}\n`, 'utf8');
    down.sendHeaders(error.httpSource, [makeField('content-length', `${body.length}`, false, 0)], head);
    if (!head) down.sendData(body, 0, body.length, true);
  }
  dropRest(down);
}

/**
 * Asks the client to stop sending if it was answered before its request had ended: the rest is not needed (RFC 9113
 * §8.1).
 */
export function dropRest(down: MessageStream): void {
  if (!down.closed && down.localClosed && !down.remoteClosed) down.reset(NO_ERROR);
}
