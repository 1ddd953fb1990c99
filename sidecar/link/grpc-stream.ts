// One gRPC call of ours on a stream of node:http2: the request's headers, messages in their frames, and the answer with
// exactly one end (gRPC over HTTP/2: grpc/doc/PROTOCOL-HTTP2.md). For calls that this sidecar makes itself; those of
// applications go through http2/.
import http2 from 'node:http2';

/** A message larger than this ends the call, because it is held in memory until it is whole. */
export const LARGEST_MESSAGE = 32 * 1024 * 1024;
/** In front of each message: whether it is compressed, and its length. */
const PREFIX_OCTETS = 5;

/** The gRPC statuses that we make or look at (grpc/doc/statuscodes.md). */
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

/** What is reported of a call's answer. `ended` comes exactly once, last; its code may be OK. */
export interface AnswerEvents<Out> {
  message(message: Out): void;
  ended(error: GrpcError): void;
}

/** @param path "/package.Service/Method" */
export function requestHeaders(path: string, userAgent: string): http2.OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc+proto', te: 'trailers', 'user-agent': userAgent };
}

/** A message as gRPC sends it: not compressed, its length, its octets. */
export function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_OCTETS);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * Reads one call's answer: messages as they are complete, then exactly one end.
 * @param parse makes a message of its octets; what it throws ends the call
 * @param why the reason where the stream has ended without a status
 */
export function readAnswer<Out>(
  stream: http2.ClientHttp2Stream,
  parse: (octets: Uint8Array) => Out,
  events: AnswerEvents<Out>,
  why: () => string,
): void {
  const messages = new MessageReader();
  let status: GrpcError | null = null;
  let isDone = false;
  let peerEnded = false;
  const end = (error: GrpcError): void => {
    if (isDone) return;
    isDone = true;
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
    messages.push(chunk);
    try {
      while (!isDone) {
        const octets = messages.next();
        if (octets === null) return;
        events.message(parsed(octets, parse));
      }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      end(error);
    }
  });
  // The peer has ended its side; ours may still be open, so that 'close' would not come. Trailers may be reported just
  // after 'end'.
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

/** Cuts what a stream brings into messages. */
class MessageReader {
  private pending: Buffer[] = [];
  private pendingOctets = 0;
  /** No message is complete before so many octets are there. */
  private needed = PREFIX_OCTETS;

  push(chunk: Buffer): void {
    this.pending.push(chunk);
    this.pendingOctets += chunk.length;
  }

  /** The next message's octets; null: it is not complete. @throws GrpcError for one that we do not take */
  next(): Uint8Array | null {
    if (this.pendingOctets < this.needed) return null;
    const all = this.pending.length === 1 ? this.pending[0] : Buffer.concat(this.pending);
    this.pending = [all];
    const length = all.readUInt32BE(1);
    if (all[0] !== 0) throw new GrpcError(STATUS.internal, 'compressed message');
    if (length > LARGEST_MESSAGE) throw new GrpcError(STATUS.resourceExhausted, `message of ${length} octets`);
    this.needed = PREFIX_OCTETS + length;
    if (all.length < this.needed) return null;
    const octets = all.subarray(PREFIX_OCTETS, this.needed);
    this.pending = [all.subarray(this.needed)];
    this.pendingOctets -= this.needed;
    this.needed = PREFIX_OCTETS;
    return octets;
  }
}

function parsed<Out>(octets: Uint8Array, parse: (octets: Uint8Array) => Out): Out {
  try {
    return parse(octets);
  } catch (error) {
    throw new GrpcError(STATUS.internal, `message not understood: ${(error as Error).message}`);
  }
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
