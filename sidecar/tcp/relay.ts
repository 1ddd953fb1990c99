// Octets of one connection to another and back, with half-close: what is not HTTP passes through here.
import type { ByteStream } from '../link/byte-stream.ts';
import { Pump } from './pump.ts';

/**
 * Joins two connections until both have ended; the first error ends both.
 * @param first what was already read of a
 * @param done called once, with the octets from a to b and from b to a
 */
export function relay(a: ByteStream, b: ByteStream, first: Buffer, done: (sent: number, received: number) => void): void {
  const sent = new Pump(a, b);
  const received = new Pump(b, a);
  let open = true;
  const close = (other: ByteStream, towards: Pump, reason: string): void => {
    if (reason !== 'closed') other.reset();
    if (!open) return;
    open = false;
    // The side that closed has ended both ways: what is still to be written there is lost, the rest may flow.
    if (reason === 'closed') towards.end();
    done(sent.total, received.total);
  };
  a.onClosed = (reason) => close(b, sent, reason);
  b.onClosed = (reason) => close(a, received, reason);
  if (first.length > 0) a.onBytes(first, first.length);
  // A side that ended before it was joined does not report it again.
  if (a.ended) sent.end();
  if (b.ended) received.end();
}
