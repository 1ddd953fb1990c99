// Sends a proxy-made error: Trailers-Only for gRPC and gRPC-Web, a status with a line of text for anything else.
import { mediaType } from '../http/content-type.ts';
import { makeField } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import { type HeaderSource, newHeaderSource } from '../http/header-source.ts';
import { NO_ERROR } from '../http/reset-code.ts';
import type { MessageStream } from '../http/stream.ts';
import { clientText, messageField, type ProxyError } from './errors.ts';

/**
 * Answers a request in the form that its client reads.
 * @param block the request
 * @param grpcStatus the status that a gRPC client sees, usually error.grpc
 */
export function reply(down: MessageStream, block: HeaderBlock, error: ProxyError, message: string, grpcStatus = error.grpc): void {
  const { format, method } = block.template;
  const text = clientText(error, message);
  if (format === 'other') {
    const body = Buffer.from(`${text}\n`, 'utf8');
    const head = method === 'HEAD';
    down.sendHeaders(error.httpSource, [makeField('content-length', `${body.length}`, false, 0)], head);
    if (!head) down.sendData(body, 0, body.length, true);
  } else if (format === 'grpc' && grpcStatus === error.grpc) down.sendHeaders(error.grpcSource, [messageField(text)], true);
  else down.sendHeaders(trailersOnly(block, grpcStatus), [messageField(text)], true);
}

/**
 * In gRPC-Web as in gRPC the trailers are sent with the headers where there is no message (PROTOCOL-WEB.md, "Message
 * framing").
 */
function trailersOnly(block: HeaderBlock, grpcStatus: number): HeaderSource {
  const contentType = block.template.grpc ? 'application/grpc' : mediaType(block.value('content-type')!);
  return newHeaderSource([':status', '200', 'content-type', contentType, 'grpc-status', `${grpcStatus}`], null);
}

/**
 * After the answer to a malformed request the codec resets its stream with the code of the fault. Where the request
 * has not ended, gRPC-core would drop the answer for that code: it is asked to stop without one.
 */
export function dropRestOfMalformed(down: MessageStream, { template }: HeaderBlock): void {
  if (template.format !== 'other') dropRest(down);
}

/**
 * Asks the client to stop sending if it was answered before its request had ended: the rest is not needed (RFC 9113
 * §8.1).
 */
export function dropRest(down: MessageStream): void {
  if (!down.closed && down.localClosed && !down.remoteClosed) down.reset(NO_ERROR);
}
