// Calls over one HTTP/2 connection, by hand, so that the client is not slower than what it measures: frames are written
// from octets, and of an answer only its shape is looked at.
import net from 'node:net';
import {
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_HEADER_LENGTH,
  GOAWAY,
  HEADERS,
  MAX_WINDOW,
  PING,
  RST_STREAM,
  SETTINGS,
  SETTINGS_INITIAL_WINDOW_SIZE,
  WINDOW_UPDATE,
} from '#sidecar/http2/codes.ts';
import { type Header, HeaderBlockWriter } from './header-block.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const DEFAULT_WINDOW = 65_535;
/** `:status: 200` of the static table, with which all peers begin a good answer. */
const STATUS_200 = 0x88;

/** How far an answer has come. */
type Answer = 'none' | 'headers' | 'data' | 'wrong';

interface Call {
  readonly startedAt: number;
  answer: Answer;
}

/** Calls that are made one after the other, so many at once. */
export interface Calls {
  /** Headers of the next call; null: there is no further one. */
  next(): readonly Header[] | null;
  /** @param ok whether it was status 200 with a body and trailers */
  ended(ms: number, ok: boolean): void;
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const octets = Buffer.allocUnsafe(FRAME_HEADER_LENGTH + payload.length);
  octets.writeUIntBE(payload.length, 0, 3);
  octets[3] = type;
  octets[4] = flags;
  octets.writeUInt32BE(stream, 5);
  octets.set(payload, FRAME_HEADER_LENGTH);
  return octets;
}

function uint32(value: number): Buffer {
  const octets = Buffer.allocUnsafe(4);
  octets.writeUInt32BE(value);
  return octets;
}

export class RawCalls {
  private readonly socket: net.Socket;
  private readonly streams: number;
  private readonly body: Buffer;
  private readonly calls: Calls;
  private readonly writer = new HeaderBlockWriter();
  private readonly open = new Map<number, Call>();
  private nextStream = 1;
  private window = DEFAULT_WINDOW;
  private rest: Buffer = Buffer.alloc(0);
  private output: Buffer[] = [];

  /**
   * Connects and begins.
   * @param streams at once
   * @param body of each request; together with a full pipeline it must fit into the peer's stream window
   */
  constructor(host: string, port: number, streams: number, body: Buffer, calls: Calls) {
    this.streams = streams;
    this.body = body;
    this.calls = calls;
    this.socket = net.connect({ host, port, noDelay: true });
    this.socket.on('data', (chunk) => this.received(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.lost());
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(SETTINGS_INITIAL_WINDOW_SIZE, 0);
    settings.writeUInt32BE(MAX_WINDOW, 2);
    // Answers of a whole run fit into the connection's window.
    const update = frame(WINDOW_UPDATE, 0, 0, uint32(MAX_WINDOW - DEFAULT_WINDOW));
    this.output.push(Buffer.from(PREFACE), frame(SETTINGS, 0, 0, settings), update);
    this.fill();
    this.flush();
  }

  stop(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  /** Begins calls while there is room for their streams and bodies. */
  private fill(): void {
    while (this.open.size < this.streams && this.window >= this.body.length) {
      const headers = this.calls.next();
      if (headers === null) return;
      const stream = this.nextStream;
      this.nextStream += 2;
      this.window -= this.body.length;
      this.open.set(stream, { startedAt: performance.now(), answer: 'none' });
      this.output.push(frame(HEADERS, FLAG_END_HEADERS, stream, this.writer.encode(headers)));
      this.output.push(frame(DATA, FLAG_END_STREAM, stream, this.body));
    }
  }

  private flush(): void {
    if (this.output.length === 0) return;
    this.socket.write(Buffer.concat(this.output));
    this.output = [];
  }

  private received(chunk: Buffer): void {
    const octets = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (octets.length - at >= FRAME_HEADER_LENGTH) {
      const end = at + FRAME_HEADER_LENGTH + octets.readUIntBE(at, 3);
      if (octets.length < end) break;
      this.frame(octets[at + 3], octets[at + 4], octets.readUInt32BE(at + 5), octets.subarray(at + FRAME_HEADER_LENGTH, end));
      at = end;
    }
    this.rest = octets.subarray(at);
    this.fill();
    this.flush();
  }

  private frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & FLAG_ACK) === 0) this.output.push(frame(SETTINGS, FLAG_ACK, 0, Buffer.alloc(0)));
    else if (type === PING && (flags & FLAG_ACK) === 0) this.output.push(frame(PING, FLAG_ACK, 0, payload));
    else if (type === WINDOW_UPDATE && stream === 0) this.window += payload.readUInt32BE(0);
    else if (type === GOAWAY) this.socket.destroy();
    const call = this.open.get(stream);
    if (call === undefined) return;
    if (type === RST_STREAM) return this.end(stream, call, false);
    const last = (flags & FLAG_END_STREAM) !== 0;
    // A whole answer ends with trailers.
    if (last) this.end(stream, call, type === HEADERS && call.answer === 'data');
    else if (type === HEADERS) call.answer = call.answer === 'none' && payload[0] === STATUS_200 ? 'headers' : 'wrong';
    else if (type === DATA) call.answer = call.answer === 'headers' || call.answer === 'data' ? 'data' : 'wrong';
  }

  private end(stream: number, call: Call, ok: boolean): void {
    this.open.delete(stream);
    this.calls.ended(performance.now() - call.startedAt, ok);
  }

  /** A connection that ends takes its calls with it, and begins no further ones. */
  private lost(): void {
    for (const [stream, call] of this.open) this.end(stream, call, false);
    while (this.calls.next() !== null) this.calls.ended(0, false);
  }
}
