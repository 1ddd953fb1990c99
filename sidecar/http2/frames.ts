// Writers of the small frames (RFC 9113 §6): each appends one whole frame to an output.

import type { Field } from '../http/field.ts';
import { VARYING_PATH } from '../http/field-name.ts';
import type { Output } from '../http/output.ts';
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_HEADER_LENGTH,
  GOAWAY,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './codes.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { MAX_FRAME_SIZE } from './limits.ts';

function putHeader(b: Buffer, p: number, length: number, type: number, flags: number, id: number): void {
  b[p] = length >>> 16;
  b[p + 1] = length >>> 8;
  b[p + 2] = length;
  b[p + 3] = type;
  b[p + 4] = flags;
  b[p + 5] = id >>> 24;
  b[p + 6] = id >>> 16;
  b[p + 7] = id >>> 8;
  b[p + 8] = id;
}

function put32(b: Buffer, p: number, value: number): void {
  b[p] = value >>> 24;
  b[p + 1] = value >>> 16;
  b[p + 2] = value >>> 8;
  b[p + 3] = value;
}

/** @param entries pairs of [identifier, value] */
export function writeSettings(out: Output, entries: readonly (readonly [number, number])[]): void {
  const b = out.reserve(FRAME_HEADER_LENGTH + 6 * entries.length);
  let p = out.length;
  putHeader(b, p, 6 * entries.length, SETTINGS, 0, 0);
  p += FRAME_HEADER_LENGTH;
  for (const [identifier, value] of entries) {
    b[p] = identifier >>> 8;
    b[p + 1] = identifier;
    put32(b, p + 2, value);
    p += 6;
  }
  out.length = p;
}

export function writeSettingsAck(out: Output): void {
  const b = out.reserve(FRAME_HEADER_LENGTH);
  putHeader(b, out.length, 0, SETTINGS, FLAG_ACK, 0);
  out.length += FRAME_HEADER_LENGTH;
}

/** Eight opaque octets from data[start]. */
export function writePing(out: Output, ack: boolean, data: Buffer, start: number): void {
  const b = out.reserve(FRAME_HEADER_LENGTH + 8);
  putHeader(b, out.length, 8, PING, ack ? FLAG_ACK : 0, 0);
  data.copy(b, out.length + FRAME_HEADER_LENGTH, start, start + 8);
  out.length += FRAME_HEADER_LENGTH + 8;
}

export function writeReset(out: Output, id: number, code: number): void {
  const b = out.reserve(FRAME_HEADER_LENGTH + 4);
  putHeader(b, out.length, 4, RST_STREAM, 0, id);
  put32(b, out.length + FRAME_HEADER_LENGTH, code);
  out.length += FRAME_HEADER_LENGTH + 4;
}

export function writeWindowUpdate(out: Output, id: number, increment: number): void {
  const b = out.reserve(FRAME_HEADER_LENGTH + 4);
  putHeader(b, out.length, 4, WINDOW_UPDATE, 0, id);
  put32(b, out.length + FRAME_HEADER_LENGTH, increment);
  out.length += FRAME_HEADER_LENGTH + 4;
}

/** @param debug text for people, at most a few dozen ASCII characters */
export function writeGoaway(out: Output, lastStreamId: number, code: number, debug: string): void {
  const length = 8 + debug.length;
  const b = out.reserve(FRAME_HEADER_LENGTH + length);
  let p = out.length;
  putHeader(b, p, length, GOAWAY, 0, 0);
  p += FRAME_HEADER_LENGTH;
  put32(b, p, lastStreamId);
  put32(b, p + 4, code);
  b.latin1Write(debug, p + 8);
  out.length = p + length;
}

/** One DATA frame of buf[start, end); at most MAX_FRAME_SIZE octets. */
export function writeData(out: Output, id: number, buf: Buffer, start: number, end: number, endStream: boolean): void {
  const length = end - start;
  const b = out.reserve(FRAME_HEADER_LENGTH + length);
  const p = out.length;
  putHeader(b, p, length, DATA, endStream ? FLAG_END_STREAM : 0, id);
  if (length > 0) buf.copy(b, p + FRAME_HEADER_LENGTH, start, end);
  out.length = p + FRAME_HEADER_LENGTH + length;
}

/**
 * A header section: the encoder's bytes of the stable part, then the varying fields; CONTINUATION frames when it is
 * long.
 */
export function writeHeaders(out: Output, id: number, stable: Buffer, varying: readonly Field[], endStream: boolean): void {
  let room = stable.length;
  for (let i = 0; i < varying.length; i++) room += HpackEncoder.varyingRoom(varying[i]);
  const b = out.reserve(FRAME_HEADER_LENGTH + room);
  const at = out.length;
  let p = at + FRAME_HEADER_LENGTH;
  let first = 0;
  if (varying.length > 0 && varying[0].of === VARYING_PATH) {
    // A pseudo-header field stands in front of the regular ones, and behind a new size of the table (RFC 7541 §4.2).
    const updates = HpackEncoder.updatesIn(stable);
    p += stable.copy(b, p, 0, updates);
    p = HpackEncoder.writeVarying(varying[0], b, p);
    stable = stable.subarray(updates);
    first = 1;
  }
  if (stable.length < 32) for (let i = 0; i < stable.length; i++) b[p + i] = stable[i];
  else stable.copy(b, p);
  p += stable.length;
  for (let i = first; i < varying.length; i++) p = HpackEncoder.writeVarying(varying[i], b, p);
  const length = p - at - FRAME_HEADER_LENGTH;
  const flags = endStream ? FLAG_END_STREAM : 0;
  if (length <= MAX_FRAME_SIZE) {
    putHeader(b, at, length, HEADERS, flags | FLAG_END_HEADERS, id);
    out.length = p;
    return;
  }
  const block = Buffer.from(b.subarray(at + FRAME_HEADER_LENGTH, p));
  for (let from = 0; from < length; from += MAX_FRAME_SIZE) {
    const to = Math.min(length, from + MAX_FRAME_SIZE);
    const f = out.reserve(FRAME_HEADER_LENGTH + to - from);
    const last = to === length ? FLAG_END_HEADERS : 0;
    putHeader(f, out.length, to - from, from === 0 ? HEADERS : CONTINUATION, from === 0 ? flags | last : last, id);
    block.copy(f, out.length + FRAME_HEADER_LENGTH, from, to);
    out.length += FRAME_HEADER_LENGTH + to - from;
  }
}
