// HTTP/2 peers that write any frame, right or wrong, and see every frame they get: scripted clients and servers for
// tests.
import net from 'node:net';
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from '#sidecar/http2/codes.ts';
import { HpackDecoder } from '#sidecar/http2/hpack-decoder.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
  /** Of the last frame of a header block: name, value, name, … as latin1 strings. */
  readonly headers: string[];
}

const EMPTY = Buffer.alloc(0);

/** One frame of exactly these octets. */
export function frame(type: number, flags: number, id: number, payload: Buffer = EMPTY): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id >>> 0, 5);
  return Buffer.concat([head, payload]);
}

function integer(value: number, prefix: number, flags: number): Buffer {
  const max = 2 ** prefix - 1;
  if (value < max) return Buffer.from([flags | value]);
  const octets = [flags | max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128);
  octets.push(rest);
  return Buffer.from(octets);
}

/** A literal field with a literal name. @param flags 0x00 without indexing, 0x10 never indexed, 0x40 with indexing */
export function literal(name: string, value: string, flags = 0x00): Buffer {
  const n = Buffer.from(name, 'latin1');
  const v = Buffer.from(value, 'latin1');
  return Buffer.concat([Buffer.from([flags]), integer(n.length, 7, 0), n, integer(v.length, 7, 0), v]);
}

/** An indexed field (RFC 7541 §6.1). */
export function indexed(index: number): Buffer {
  return integer(index, 7, 0x80);
}

/** A header block of literals that touch no table. */
export function block(list: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < list.length; i += 2) parts.push(literal(list[i], list[i + 1]));
  return Buffer.concat(parts);
}

/** HEADERS, and CONTINUATION frames where the block is long. */
export function headers(id: number, list: readonly string[], endStream = false): Buffer {
  const whole = block(list);
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < whole.length; at += 16_384) {
    const last = at + 16_384 >= whole.length ? FLAG_END_HEADERS : 0;
    const end = at === 0 && endStream ? FLAG_END_STREAM : 0;
    parts.push(frame(at === 0 ? HEADERS : CONTINUATION, last | end, id, whole.subarray(at, at + 16_384)));
  }
  return Buffer.concat(parts);
}

/** A gRPC request's headers. */
export function request(path = '/payment.PaymentService/Charge', more: readonly string[] = []): string[] {
  const list = [':method', 'POST', ':scheme', 'http', ':path', path, ':authority', 'payment'];
  return [...list, 'content-type', 'application/grpc', 'te', 'trailers', ...more];
}

export const GRPC_OK = [':status', '200', 'content-type', 'application/grpc'];

export function data(id: number, payload: Buffer | string = EMPTY, endStream = false): Buffer {
  return frame(DATA, endStream ? FLAG_END_STREAM : 0, id, typeof payload === 'string' ? Buffer.from(payload) : payload);
}

function uint32(...values: number[]): Buffer {
  const b = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    b.writeUInt32BE(value >>> 0, 4 * i);
  });
  return b;
}

export function reset(id: number, code: number): Buffer {
  return frame(RST_STREAM, 0, id, uint32(code));
}

export function windowUpdate(id: number, increment: number): Buffer {
  return frame(WINDOW_UPDATE, 0, id, uint32(increment));
}

export function goaway(lastId: number, code: number): Buffer {
  return frame(GOAWAY, 0, 0, uint32(lastId, code));
}

/** @param entries identifier, value, identifier, value, … */
export function settings(...entries: number[]): Buffer {
  const b = Buffer.alloc(3 * entries.length);
  for (let i = 0; i < entries.length; i += 2) {
    b.writeUInt16BE(entries[i], 3 * i);
    b.writeUInt32BE(entries[i + 1] >>> 0, 3 * i + 2);
  }
  return frame(SETTINGS, 0, 0, b);
}

/** The error code of an RST_STREAM or GOAWAY frame. */
export function codeOf(f: Frame): number {
  return f.payload.readUInt32BE(f.type === GOAWAY ? 4 : 0);
}

export function headerOf(list: readonly string[], name: string): string | undefined {
  for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
  return undefined;
}

export function isEnd(f: Frame): boolean {
  return (f.type === DATA || f.type === HEADERS) && (f.flags & FLAG_END_STREAM) !== 0;
}

/** One end of a connection. It acknowledges SETTINGS and PINGs and does nothing else by itself. */
export class RawPeer {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  /** Resolves when the socket is gone. */
  readonly closed: Promise<void>;
  isClosed = false;
  onFrame: (f: Frame) => void = () => {};
  /** Answer SETTINGS and PING. */
  polite = true;
  /** Give back the window for DATA at once. */
  consuming = false;
  private readonly decoder = new HpackDecoder(4096);
  private rest: Buffer = EMPTY;
  private parts: Buffer[] = [];
  private blockFlags = 0;
  private waiters: { wanted: (f: Frame) => boolean; found: (f: Frame) => void; lost: (error: Error) => void }[] = [];
  private prefaceLeft: number;

  constructor(socket: net.Socket, server: boolean) {
    this.socket = socket;
    this.prefaceLeft = server ? PREFACE.length : 0;
    socket.setNoDelay(true);
    socket.on('data', (octets: Buffer) => this.read(octets));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      const gone = (): void => {
        this.isClosed = true;
        for (const waiter of this.waiters.splice(0)) waiter.lost(new Error(`connection closed; frames seen: ${this.summary()}`));
        resolve();
      };
      socket.on('close', gone);
      socket.on('end', () => socket.end());
    });
  }

  /** Connects as a client and sends the preface and SETTINGS. @param more what follows at once */
  static connect(port: number, opening: Buffer = Buffer.concat([PREFACE, settings()])): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1' }, () => {
        socket.removeListener('error', reject);
        const peer = new RawPeer(socket, false);
        if (opening.length > 0) peer.write(opening);
        resolve(peer);
      });
      socket.once('error', reject);
    });
  }

  write(...parts: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  /** Ends the connection instead of an answer. */
  hangUp(): Buffer {
    this.socket.end();
    return EMPTY;
  }

  /** The first frame, seen already or still to come, that is wanted; fails when the connection closes without it. */
  find(wanted: (f: Frame) => boolean): Promise<Frame> {
    const known = this.frames.find(wanted);
    if (known !== undefined) return Promise.resolve(known);
    if (this.isClosed) return Promise.reject(new Error(`connection is closed; frames seen: ${this.summary()}`));
    return new Promise((found, lost) => this.waiters.push({ wanted, found, lost }));
  }

  /** The final frame of a stream: END_STREAM or RST_STREAM. */
  end(id: number): Promise<Frame> {
    return this.find((f) => f.id === id && (isEnd(f) || f.type === RST_STREAM));
  }

  /** Resolves once the other end has handled all that was written before. */
  async settled(): Promise<void> {
    const mark = Buffer.alloc(8);
    mark.writeUInt32BE(++this.marks, 4);
    this.write(frame(PING, 0, 0, mark));
    await this.find((f) => f.type === PING && f.flags === FLAG_ACK && f.payload.equals(mark));
  }

  /** DATA octets that came on a stream. */
  body(id: number): Buffer {
    return Buffer.concat(this.frames.filter((f) => f.type === DATA && f.id === id).map((f) => f.payload));
  }

  of(id: number, type: number): Frame[] {
    return this.frames.filter((f) => f.id === id && f.type === type);
  }

  summary(): string {
    return this.frames.map((f) => `${f.type}/${f.flags.toString(16)}/${f.id}/${f.payload.length}`).join(' ');
  }

  private marks = 0;

  private read(octets: Buffer): void {
    if (this.prefaceLeft > 0) {
      const skipped = Math.min(this.prefaceLeft, octets.length);
      this.prefaceLeft -= skipped;
      octets = octets.subarray(skipped);
    }
    let b = this.rest.length > 0 ? Buffer.concat([this.rest, octets]) : octets;
    while (b.length >= 9) {
      const end = 9 + b.readUIntBE(0, 3);
      if (b.length < end) break;
      this.take(b[3], b[4], b.readUInt32BE(5) & 0x7fffffff, Buffer.from(b.subarray(9, end)));
      b = b.subarray(end);
    }
    this.rest = Buffer.from(b);
  }

  private take(type: number, flags: number, id: number, payload: Buffer): void {
    let list: string[] = [];
    let f: Frame = { type, flags, id, payload, headers: list };
    if (type === HEADERS || type === CONTINUATION) {
      if (type === HEADERS) this.blockFlags = flags;
      this.parts.push(payload);
      if ((flags & FLAG_END_HEADERS) !== 0) {
        const whole = Buffer.concat(this.parts.splice(0));
        list = this.decoder.decode(whole, 0, whole.length).list();
        f = { type: HEADERS, flags: this.blockFlags | FLAG_END_HEADERS, id, payload: whole, headers: list };
      }
    }
    if (this.polite && type === SETTINGS && (flags & FLAG_ACK) === 0) this.write(frame(SETTINGS, FLAG_ACK, 0));
    if (this.polite && type === PING && (flags & FLAG_ACK) === 0) this.write(frame(PING, FLAG_ACK, 0, payload));
    if (this.consuming && type === DATA && payload.length > 0)
      this.write(windowUpdate(0, payload.length), windowUpdate(id, payload.length));
    this.frames.push(f);
    this.onFrame(f);
    for (const waiter of [...this.waiters]) {
      if (!waiter.wanted(f)) continue;
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
      waiter.found(f);
    }
  }
}

/** A scripted HTTP/2 server. */
export class RawServer {
  readonly peers: RawPeer[] = [];
  private readonly server: net.Server;
  private readonly arrivals: ((peer: RawPeer) => void)[] = [];
  private taken = 0;

  private constructor(server: net.Server) {
    this.server = server;
  }

  /**
   * @param script called for each connection, after SETTINGS were sent
   * @param opening what each connection begins with
   */
  static async listen(script: (peer: RawPeer, index: number) => void = () => {}, opening: Buffer = settings()): Promise<RawServer> {
    const server = net.createServer({ noDelay: true });
    const raw = new RawServer(server);
    server.on('connection', (socket) => {
      const peer = new RawPeer(socket, true);
      raw.peers.push(peer);
      if (opening.length > 0) peer.write(opening);
      script(peer, raw.peers.length - 1);
      raw.arrivals.shift()?.(peer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return raw;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** The next connection that no one has taken yet. */
  accept(): Promise<RawPeer> {
    const index = this.taken++;
    if (index < this.peers.length) return Promise.resolve(this.peers[index]);
    return new Promise((resolve) => this.arrivals.push(resolve));
  }

  /** All frames of a type, over all connections. */
  all(type: number): Frame[] {
    return this.peers.flatMap((peer) => peer.frames.filter((f) => f.type === type));
  }

  close(): void {
    this.server.close();
    for (const peer of this.peers) peer.socket.destroy();
  }
}

/** A server script: each request is answered once it is complete. */
export function answering(reply: (id: number, request: Frame, peer: RawPeer) => Buffer): (peer: RawPeer) => void {
  return (peer) => {
    const requests = new Map<number, Frame>();
    peer.onFrame = (f) => {
      if (f.type === HEADERS && !requests.has(f.id)) requests.set(f.id, f);
      if (isEnd(f)) peer.write(reply(f.id, requests.get(f.id)!, peer));
    };
  };
}

/** A whole gRPC answer: headers, one message, trailers. */
export function grpcAnswer(id: number, message: Buffer | string = '\0\0\0\0\x02hi', status = '0'): Buffer {
  return Buffer.concat([headers(id, GRPC_OK), data(id, message), headers(id, ['grpc-status', status], true)]);
}
