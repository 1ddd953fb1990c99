// Octets of one connection to another and back, with half-close: what is not HTTP passes through here.
import type { ByteStream } from '../link/byte-stream.ts';

/** Octets that may wait for the slower side before the faster one is paused. */
const HIGH_WATER = 256 * 1024;

/**
 * Joins two connections until both have ended; the first error ends both.
 * @param first what was already read of a
 * @param done called once, with the octets from a to b and from b to a
 */
export function relay(a: ByteStream, b: ByteStream, first: Buffer, done: (sent: number, received: number) => void): void {
  const sent = pump(a, b);
  const received = pump(b, a);
  let open = true;
  const close = (other: ByteStream, reason: string): void => {
    if (reason !== 'closed') other.reset();
    if (!open) return;
    open = false;
    // The side that closed has ended both ways: what is still to be written there is lost, the rest may flow.
    if (reason === 'closed') other.end();
    done(sent(), received());
  };
  a.onClosed = (reason) => close(b, reason);
  b.onClosed = (reason) => close(a, reason);
  if (first.length > 0) a.onBytes(first, first.length);
  // A side that ended before it was joined does not report it again.
  if (a.ended) b.end();
  if (b.ended) a.end();
}

function pump(from: ByteStream, to: ByteStream): () => number {
  let total = 0;
  let waiting = 0;
  from.onBytes = (buf, length) => {
    total += length;
    waiting += length;
    if (waiting > HIGH_WATER) from.pause();
    to.write(Buffer.from(buf.subarray(0, length)), () => {
      const wasHigh = waiting > HIGH_WATER;
      waiting -= length;
      if (wasHigh && waiting <= HIGH_WATER) from.resume();
    });
  };
  from.onEnd = () => to.end();
  return () => total;
}
