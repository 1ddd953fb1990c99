// Octets that are kept until they can be sent: copies in a list of chunks.

export interface Chunk {
  buf: Buffer;
  start: number;
  end: number;
}

/** Tiny frames on a stalled stream share a chunk: their cost is their octets, not an object each. */
const CHUNK_SIZE = 4096;

/** Appends a copy of buf[start, end) to a list of chunks. */
export function appendChunk(chunks: Chunk[], buf: Buffer, start: number, end: number): void {
  const octets = end - start;
  if (octets === 0) return;
  const tail = chunks.length > 0 ? chunks[chunks.length - 1] : null;
  if (tail !== null && tail.buf.length - tail.end >= octets) {
    buf.copy(tail.buf, tail.end, start, end);
    tail.end += octets;
    return;
  }
  const chunk = Buffer.allocUnsafeSlow(Math.max(octets, CHUNK_SIZE));
  buf.copy(chunk, 0, start, end);
  chunks.push({ buf: chunk, start: 0, end: octets });
}
