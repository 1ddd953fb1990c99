// A peer's SETTINGS frame as a value (RFC 9113 §6.5); the connection applies it.
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from '../http/reset-code.ts';
import {
  MAX_WINDOW,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
} from './codes.ts';
import { MAX_FRAME_SIZE, MAX_SETTINGS_ENTRIES } from './limits.ts';

/** What one frame says; -1: it says nothing of this. Of a setting that stands twice the last value counts. */
export interface PeerSettings {
  readonly ok: true;
  /** In the order of the frame, because an encoder must announce the smallest of them (RFC 7541 §4.2). */
  readonly headerTableSizes: readonly number[];
  readonly maxConcurrentStreams: number;
  readonly initialWindow: number;
}

/** A connection error (RFC 9113 §5.4.1). */
export interface SettingsFault {
  readonly ok: false;
  readonly code: number;
  readonly reason: string;
}

/** Reads the payload buf[start, end) of a frame that is not an acknowledgement. @param fromServer we are the client */
export function parseSettings(buf: Buffer, start: number, end: number, fromServer: boolean): PeerSettings | SettingsFault {
  const length = end - start;
  if (length % 6 !== 0) return fault(FRAME_SIZE_ERROR, 'SETTINGS length');
  if (length > 6 * MAX_SETTINGS_ENTRIES) return fault(ENHANCE_YOUR_CALM, 'SETTINGS entries');
  const headerTableSizes: number[] = [];
  let maxConcurrentStreams = -1;
  let initialWindow = -1;
  for (let p = start; p < end; p += 6) {
    const identifier = (buf[p] << 8) | buf[p + 1];
    const value = ((buf[p + 2] << 24) | (buf[p + 3] << 16) | (buf[p + 4] << 8) | buf[p + 5]) >>> 0;
    if (identifier === SETTINGS_HEADER_TABLE_SIZE) {
      headerTableSizes.push(value);
    } else if (identifier === SETTINGS_ENABLE_PUSH) {
      if (value > 1 || (fromServer && value === 1)) return fault(PROTOCOL_ERROR, 'ENABLE_PUSH');
    } else if (identifier === SETTINGS_MAX_CONCURRENT_STREAMS) {
      maxConcurrentStreams = value;
    } else if (identifier === SETTINGS_INITIAL_WINDOW_SIZE) {
      if (value > MAX_WINDOW) return fault(FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE');
      initialWindow = value;
    } else if (identifier === SETTINGS_MAX_FRAME_SIZE) {
      // Our frames are of the smallest size that a peer may ask for.
      if (value < MAX_FRAME_SIZE || value > 0xffffff) return fault(PROTOCOL_ERROR, 'MAX_FRAME_SIZE');
    }
  }
  return { ok: true, headerTableSizes, maxConcurrentStreams, initialWindow };
}

function fault(code: number, reason: string): SettingsFault {
  return { ok: false, code, reason };
}
