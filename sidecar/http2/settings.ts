// A peer's SETTINGS frame (RFC 9113 §6.5).
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from '../http/reset-code.ts';
import {
  MAX_WINDOW,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
} from './codes.ts';
import type { Connection } from './connection.ts';
import { writeSettingsAck } from './frames.ts';
import { MAX_FRAME_SIZE, MAX_SETTINGS_ENTRIES } from './limits.ts';

/** Applies and acknowledges buf[start, end), or fails the connection. */
export function applySettings(c: Connection, ack: boolean, buf: Buffer, start: number, end: number): void {
  const length = end - start;
  if (ack) {
    if (length !== 0) c.fail(FRAME_SIZE_ERROR, 'SETTINGS ack with a payload');
    return;
  }
  if (length % 6 !== 0) return c.fail(FRAME_SIZE_ERROR, 'SETTINGS length');
  if (length > 6 * MAX_SETTINGS_ENTRIES) return c.fail(ENHANCE_YOUR_CALM, 'SETTINGS entries');
  // Until its first SETTINGS a peer may be assumed to allow 100 streams; without the entry there is no limit.
  if (!c.settingsReceived) c.peerMaxStreams = 0x7fffffff;
  let initialWindow = c.peerInitialWindow;
  for (let p = start; p < end; p += 6) {
    const identifier = (buf[p] << 8) | buf[p + 1];
    const value = ((buf[p + 2] << 24) | (buf[p + 3] << 16) | (buf[p + 4] << 8) | buf[p + 5]) >>> 0;
    if (identifier === SETTINGS_HEADER_TABLE_SIZE) {
      c.encoder.setPeerTableSize(value);
    } else if (identifier === SETTINGS_ENABLE_PUSH) {
      if (value > 1 || (c.client && value === 1)) return c.fail(PROTOCOL_ERROR, 'ENABLE_PUSH');
    } else if (identifier === SETTINGS_MAX_CONCURRENT_STREAMS) {
      c.peerMaxStreams = value;
    } else if (identifier === SETTINGS_INITIAL_WINDOW_SIZE) {
      if (value > MAX_WINDOW) return c.fail(FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE');
      initialWindow = value;
    } else if (identifier === SETTINGS_MAX_FRAME_SIZE) {
      if (value < MAX_FRAME_SIZE || value > 0xffffff) return c.fail(PROTOCOL_ERROR, 'MAX_FRAME_SIZE');
    }
  }
  // The last value of the frame counts, in one walk over the streams: 32 walks per frame would be an attack.
  const delta = initialWindow - c.peerInitialWindow;
  if (delta !== 0) {
    c.peerInitialWindow = initialWindow;
    for (const stream of c.streams.all()) {
      stream.sendWindow += delta;
      if (stream.sendWindow > MAX_WINDOW) return c.fail(FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE overflows a window');
    }
  }
  writeSettingsAck(c.output);
  c.settingsReceived = true;
  c.resumeWaiting();
  c.owner.onCapacity(c);
}
