// DATA that has no room yet: a stream's queue of copies, sent when windows and output allow. Bounded by the window we gave its source.

import { appendChunk } from '../http/chunk.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { Connection } from './connection.ts';
import { writeData } from './frames.ts';
import { MAX_FRAME_SIZE, OCTETS_PER_WINDOW_UPDATE } from './limits.ts';
import type { Stream } from './stream.ts';

/** Sends of buf[start, end) what both windows and the output take now. @returns octets sent */
export function sendDataNow(connection: Connection, stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number {
  let pos = start;
  do {
    if (connection.output.full && end > pos) break;
    // An empty frame needs no window, which may be negative (RFC 9113 §6.9.2).
    const octets = end === pos ? 0 : Math.min(end - pos, MAX_FRAME_SIZE, stream.sendWindow, connection.sendWindow);
    if (octets < 0 || (octets === 0 && end > pos)) break;
    const last = endStream && pos + octets === end;
    writeData(connection.output, stream.id, buf, pos, pos + octets, last);
    stream.sendWindow -= octets;
    connection.sendWindow -= octets;
    connection.flood.sentOctets += octets;
    pos += octets;
    if (last) connection.localEnd(stream);
  } while (pos < end);
  return pos - start;
}

export function queueData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void {
  appendChunk((stream.queue ??= []), buf, start, end);
  stream.queuedOctets += end - start;
  if (endStream) stream.queuedEnd = true;
}

export function queueTrailers(stream: Stream, source: HeaderSource, varying: readonly Field[]): void {
  stream.queuedTrailers = { source, varying };
}

/** Sends one frame of the stream's queue, which is not empty, if it has room. @returns whether anything was sent */
export function flushQueue(connection: Connection, stream: Stream): boolean {
  const queue = stream.queue!;
  const chunk = queue[0];
  const octets = Math.min(chunk.end - chunk.start, MAX_FRAME_SIZE, stream.sendWindow, connection.sendWindow);
  if (octets <= 0 || connection.output.full) return false;
  const last = queue.length === 1 && stream.queuedEnd && chunk.start + octets === chunk.end;
  const sent = sendDataNow(connection, stream, chunk.buf, chunk.start, chunk.start + octets, last);
  chunk.start += sent;
  // Not for crumbs: a peer that grants its window octet by octet earns nothing (CVE-2019-9511).
  if (sent >= OCTETS_PER_WINDOW_UPDATE) connection.flood.work();
  if (chunk.start === chunk.end) queue.shift();
  stream.queuedOctets -= sent;
  stream.progressAtMs = connection.clock.nowMs;
  if (queue.length === 0) {
    stream.queue = null;
    const trailers = stream.queuedTrailers;
    if (trailers !== null) {
      stream.queuedTrailers = null;
      connection.sendHeaders(stream, trailers.source, trailers.varying, true);
    }
  }
  // Last, because the handler may send or reset.
  stream.handler.onSent(stream, sent);
  return true;
}
