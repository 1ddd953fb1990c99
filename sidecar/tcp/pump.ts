// One direction of a relay: octets are gathered in blocks of 64 KiB, which all connections share, and written when a
// block is full or the turn of the event loop ends. TLS gives at most 16 KiB at a time (RFC 8446 §5.1): four of these
// then share one system call. Blocks are used again, because a fresh one for each read cost a third of the CPU time.
import type { ByteStream } from '../link/byte-stream.ts';

/** Octets that may wait for the slower side before the faster one is paused. */
const HIGH_WATER = 256 * 1024;
const BLOCK = 64 * 1024;
/** Less than this is written from a copy of its own size: a write that waits does not hold a whole block. */
const WORTH_A_BLOCK = BLOCK / 2;
/** Blocks that wait for their next use. */
const MAX_SPARE_BLOCKS = 32;

// One event loop per thread, so one list of pumps to flush and of blocks per thread.
const spare: Buffer[] = [];
const dirty: Pump[] = [];

function flushAll(): void {
  for (let i = 0; i < dirty.length; i++) dirty[i].flush();
  dirty.length = 0;
}

export class Pump {
  /** Octets read so far. */
  total = 0;
  private readonly from: ByteStream;
  private readonly to: ByteStream;
  /** Octets gathered, or written and not yet taken by the kernel. */
  private waiting = 0;
  private block: Buffer | null = null;
  private filled = 0;

  constructor(from: ByteStream, to: ByteStream) {
    this.from = from;
    this.to = to;
    from.onBytes = (buf, length) => this.take(buf, length);
    from.onEnd = () => this.end();
  }

  /** Writes what is gathered. */
  flush(): void {
    const { block, filled } = this;
    if (block === null) return;
    this.block = null;
    this.filled = 0;
    if (filled < WORTH_A_BLOCK) {
      this.write(Buffer.from(block.subarray(0, filled)), null);
      keep(block);
    } else {
      this.write(block.subarray(0, filled), block);
    }
  }

  /** No more will come: sends what is gathered, then FIN. */
  end(): void {
    this.flush();
    this.to.end();
  }

  private take(buf: Buffer, length: number): void {
    this.total += length;
    this.waiting += length;
    if (this.waiting > HIGH_WATER) this.from.pause();
    for (let at = 0; at < length; ) {
      if (this.block === null) this.begin();
      const end = Math.min(length, at + BLOCK - this.filled);
      buf.copy(this.block!, this.filled, at, end);
      this.filled += end - at;
      at = end;
      if (this.filled === BLOCK) this.flush();
    }
  }

  private begin(): void {
    this.block = spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK);
    if (dirty.length === 0) setImmediate(flushAll);
    dirty.push(this);
  }

  private write(octets: Buffer, block: Buffer | null): void {
    const { length } = octets;
    this.to.write(octets, () => {
      if (block !== null) keep(block);
      const wasHigh = this.waiting > HIGH_WATER;
      this.waiting -= length;
      if (wasHigh && this.waiting <= HIGH_WATER) this.from.resume();
    });
  }
}

function keep(block: Buffer): void {
  if (spare.length < MAX_SPARE_BLOCKS) spare.push(block);
}
