// SETTINGS frames as values, and the faults that end their connection.
import { expect } from 'chai';
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from '#sidecar/http/reset-code.ts';
import {
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
} from '#sidecar/http2/codes.ts';
import { MAX_FRAME_SIZE, MAX_SETTINGS_ENTRIES } from '#sidecar/http2/limits.ts';
import { type PeerSettings, parseSettings, type SettingsFault } from '#sidecar/http2/settings.ts';

function parse(entries: readonly (readonly [number, number])[], fromServer = false): PeerSettings | SettingsFault {
  const payload = Buffer.alloc(6 * entries.length + 2, 0xff);
  entries.forEach(([identifier, value], i) => {
    payload.writeUInt16BE(identifier, 1 + 6 * i);
    payload.writeUInt32BE(value, 3 + 6 * i);
  });
  return parseSettings(payload, 1, payload.length - 1, fromServer);
}

describe('parseSettings', () => {
  it('reads nothing from an empty frame', () => {
    expect(parse([])).deep.equal({ ok: true, headerTableSizes: [], maxConcurrentStreams: -1, initialWindow: -1 });
  });

  it('keeps the last value of a setting, but all sizes of the header table, and ignores what it does not know', () => {
    const settings = parse([
      [SETTINGS_HEADER_TABLE_SIZE, 0],
      [SETTINGS_MAX_CONCURRENT_STREAMS, 7],
      [SETTINGS_INITIAL_WINDOW_SIZE, 1],
      [0xbeef, 1],
      [SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff],
      [SETTINGS_MAX_CONCURRENT_STREAMS, 0],
      [SETTINGS_HEADER_TABLE_SIZE, 4096],
    ]);
    expect(settings).deep.equal({ ok: true, headerTableSizes: [0, 4096], maxConcurrentStreams: 0, initialWindow: 0x7fffffff });
  });

  const faults: [string, number, readonly (readonly [number, number])[], boolean?][] = [
    ['a window past its maximum', FLOW_CONTROL_ERROR, [[SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000]]],
    ['a frame size below the smallest', PROTOCOL_ERROR, [[SETTINGS_MAX_FRAME_SIZE, MAX_FRAME_SIZE - 1]]],
    ['a frame size past the largest', PROTOCOL_ERROR, [[SETTINGS_MAX_FRAME_SIZE, 0x1000000]]],
    ['a push that is neither on nor off', PROTOCOL_ERROR, [[SETTINGS_ENABLE_PUSH, 2]]],
    ['a server that allows push', PROTOCOL_ERROR, [[SETTINGS_ENABLE_PUSH, 1]], true],
    ['too many entries', ENHANCE_YOUR_CALM, Array.from({ length: MAX_SETTINGS_ENTRIES + 1 }, () => [0xbeef, 1] as const)],
  ];
  for (const [what, code, entries, fromServer] of faults) {
    it(`refuses ${what}`, () => {
      expect(parse(entries, fromServer)).include({ ok: false, code });
    });
  }

  it('refuses a length that is no multiple of an entry', () => {
    expect(parseSettings(Buffer.alloc(7), 0, 7, false)).include({ ok: false, code: FRAME_SIZE_ERROR });
  });
});
