// A socket, plain or TLS, as the data plane uses it: octets in a buffer that all sockets share, and one write at a
// time. Node's user buffers spare an allocation of 64 KiB and a trip through the stream machinery per read (1.0 against
// 2.5 µs). Accepted and TLS sockets have no public way to ask for them, so the symbols are looked up at start; where
// they are missing, 'data' events do the same, slower.
import net from 'node:net';
import type { Clock } from '../http/clock.ts';
import type { Duplex } from '../http/transport.ts';

/** Filled and consumed within one callback, so one buffer per thread is enough. */
const SHARED_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Silence after which the kernel asks whether the peer is still there, in ms. */
export const KEEPALIVE_MS = 60_000;

interface UserBufferSymbols {
  buffer: symbol;
  callback: symbol;
  generator: symbol;
}

const symbols = findSymbols();

function findSymbols(): UserBufferSymbols | null {
  const probe = new net.Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } });
  const named = (name: string) => Object.getOwnPropertySymbols(probe).find((s) => s.description === name);
  const buffer = named('kBuffer');
  const callback = named('kBufferCb');
  const generator = named('kBufferGen');
  probe.destroy();
  return buffer !== undefined && callback !== undefined && generator !== undefined ? { buffer, callback, generator } : null;
}

export class ByteStream implements Duplex {
  readonly socket: net.Socket;
  /** Octets 0 to length of buf, valid during the call. */
  onBytes: (buf: Buffer, length: number) => void = () => {};
  /** The peer sent FIN. */
  onEnd: () => void = () => {};
  /** The socket is gone; `reason` is the error's code or 'closed'. Called once. */
  onClosed: (reason: string) => void = () => {};
  /** The peer has sent FIN, whether onEnd was set by then or not; what came before it was handed on. */
  ended = false;
  private readonly clock: Clock;
  private failure = '';
  private started = false;
  private held = false;
  /** Octets that TLS had decrypted already when pause() came: at most what it had read of the socket. */
  private kept: Buffer[] = [];
  private endIsKept = false;

  /** @param socket paused, with allowHalfOpen */
  constructor(socket: net.Socket, clock: Clock) {
    this.socket = socket;
    this.clock = clock;
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.failure = error.code ?? error.message;
    });
    socket.on('end', () => {
      clock.update();
      // FIN stands behind the octets that are kept.
      if (this.kept.length > 0) this.endIsKept = true;
      else this.reportEnd();
    });
    socket.on('close', () => {
      clock.update();
      this.onClosed(this.failure || 'closed');
    });
  }

  /** Begins to read, or will with resume() if pause() came before: octets without a taker would be lost. */
  start(): void {
    this.started = true;
    const handle = (this.socket as unknown as { _handle: { useUserBuffer?: (b: Buffer) => void } | null })._handle;
    if (symbols !== null && handle !== null && typeof handle.useUserBuffer === 'function') {
      const slots = this.socket as unknown as Record<symbol, unknown>;
      slots[symbols.buffer] = SHARED_BUFFER;
      slots[symbols.generator] = null;
      slots[symbols.callback] = (length: number, buf: Buffer) => {
        this.clock.update();
        if (this.held) this.kept.push(Buffer.from(buf.subarray(0, length)));
        else this.onBytes(buf, length);
        return true;
      };
      handle.useUserBuffer(SHARED_BUFFER);
    } else {
      this.socket.on('data', (chunk: Buffer) => {
        this.clock.update();
        this.onBytes(chunk, chunk.length);
      });
    }
    if (this.held)
      this.socket.pause(); // again: only now does it stop the handle
    else this.socket.resume();
  }

  /** Stops reading and takes the socket back to plain streams, with the octets already read put back in front. */
  release(read: Buffer): net.Socket {
    this.socket.pause();
    this.onBytes = () => {};
    if (symbols !== null) (this.socket as unknown as Record<symbol, unknown>)[symbols.buffer] = null;
    this.socket.unshift(read);
    return this.socket;
  }

  write(octets: Buffer, done: () => void): void {
    this.socket.write(octets, done);
  }

  pause(): void {
    this.held = true;
    this.socket.pause();
  }

  resume(): void {
    this.held = false;
    while (this.kept.length > 0 && !this.held) {
      const octets = this.kept.shift()!;
      this.onBytes(octets, octets.length);
    }
    if (this.endIsKept && this.kept.length === 0) {
      this.endIsKept = false;
      this.reportEnd();
    }
    if (this.started && !this.held) this.socket.resume();
  }

  private reportEnd(): void {
    this.ended = true;
    this.onEnd();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Destroys it with RST: the peer must not take what it got for all there was. */
  reset(): void {
    if (this.socket.destroyed) return;
    // TLS has no such thing, and its peer takes FIN for an end: the TCP socket under it is reset.
    const under = (this.socket as unknown as { _parent?: net.Socket | null })._parent ?? this.socket;
    under.resetAndDestroy();
    this.socket.destroy();
  }
}
