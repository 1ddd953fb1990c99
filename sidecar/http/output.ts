// What goes out on one connection: it is written into one buffer while a turn of the event loop runs, and leaves in one
// write when the turn ends. setImmediate runs after all sockets of the turn were read, so what came from many of them
// shares one system call and one TLS record.
import { OUTPUT_HIGH_WATER } from './limits.ts';
import type { Transport } from './transport.ts';

const FIRST_SIZE = 4096;
/** So much is written without waiting for the end of the turn: bulk data needs no larger buffers. */
const FLUSH_AT = 64 * 1024;
/** Larger buffers are not kept for the next turn. */
const KEPT_SIZE = 128 * 1024;

// One event loop per thread, so one list of outputs to flush per thread.
const dirty: Output[] = [];
let scheduled = false;

function flushAll(): void {
  scheduled = false;
  for (let i = 0; i < dirty.length; i++) {
    dirty[i].dirty = false;
    dirty[i].flush();
  }
  dirty.length = 0;
}

export class Output {
  buffer: Buffer = Buffer.allocUnsafe(FIRST_SIZE);
  length = 0;
  dirty = false;
  /** Writes that the transport has got. */
  flushes = 0;
  private spare: Buffer | null = null;
  private inFlight: Buffer | null = null;
  private inFlightLength = 0;
  private ended = false;
  private readonly transport: Transport;
  private readonly onDrained: () => void;
  private readonly wrote: () => void;

  /** @param onDrained called when a write is done, with room for more */
  constructor(transport: Transport, onDrained: () => void) {
    this.transport = transport;
    this.onDrained = onDrained;
    this.wrote = () => this.afterWrite();
  }

  /** So many octets the kernel has not taken yet. */
  get waiting(): number {
    return this.length + this.inFlightLength;
  }

  /** DATA should wait on its stream. */
  get full(): boolean {
    return this.length + this.inFlightLength > OUTPUT_HIGH_WATER;
  }

  /** Makes room for octets more at buffer[length], to be written before anything else runs, and schedules the flush. */
  reserve(octets: number): Buffer {
    if (this.length >= FLUSH_AT) this.flush();
    if (this.length + octets > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.buffer.length, this.length + octets));
      this.buffer.copy(larger, 0, 0, this.length);
      this.buffer = larger;
    }
    if (!this.dirty) {
      this.dirty = true;
      dirty.push(this);
      if (!scheduled) {
        scheduled = true;
        setImmediate(flushAll);
      }
    }
    return this.buffer;
  }

  flush(): void {
    if (this.inFlight !== null || this.length === 0) return;
    const full = this.buffer;
    this.inFlight = full;
    this.flushes++;
    this.inFlightLength = this.length;
    this.buffer = this.spare ?? Buffer.allocUnsafe(FIRST_SIZE);
    this.spare = null;
    this.length = 0;
    this.transport.write(full.subarray(0, this.inFlightLength), this.wrote);
  }

  /** Gives back large buffers; called now and then while nothing happens. */
  shrink(): void {
    if (this.length > 0 || this.inFlight !== null || this.buffer.length === FIRST_SIZE) return;
    this.buffer = Buffer.allocUnsafe(FIRST_SIZE);
    this.spare = null;
  }

  /** Sends what is there, then FIN. */
  end(): void {
    this.ended = true;
    this.flush();
    if (this.inFlight === null) this.transport.end();
  }

  private afterWrite(): void {
    const done = this.inFlight;
    if (done === null) return;
    if (done.length <= KEPT_SIZE) this.spare = done;
    this.inFlight = null;
    this.inFlightLength = 0;
    if (this.length > 0) this.flush();
    else if (this.ended) this.transport.end();
    this.onDrained();
  }
}
