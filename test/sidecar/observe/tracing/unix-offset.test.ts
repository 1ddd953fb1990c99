// Unix time of spans: exact while nobody sets the clock, right when somebody has.
import { expect } from 'chai';
import { unixOffset } from '#sidecar/observe/tracing/unix-offset.ts';

const ORIGIN_MS = 1_800_000_000_000.25;

describe('unixOffset', () => {
  /** A monotonic clock that stands still but for pauses before its readings, and the wall clock of whole ms beside it. */
  function clocks(setByMs = 0, pauses: number[] = []) {
    let atMs = 1000.7;
    return {
      now: () => (atMs += pauses.shift() ?? 0),
      wallClock: () => Math.floor(ORIGIN_MS + setByMs + atMs),
    };
  }
  const offsetOf = ({ wallClock, now }: ReturnType<typeof clocks>) => unixOffset(wallClock, now, ORIGIN_MS);

  it('is exact though the wall clock shows whole ms, and though the program paused between the two readings', () => {
    expect(offsetOf(clocks())).to.equal(ORIGIN_MS);
    expect(offsetOf(clocks(0, [40, 300]))).to.equal(ORIGIN_MS);
  });

  it('follows a clock that was set', () => {
    for (const setByMs of [-3600_000, -50, 50, 3600_000])
      expect(offsetOf(clocks(setByMs))).to.be.within(ORIGIN_MS + setByMs - 1, ORIGIN_MS + setByMs);
  });
});
