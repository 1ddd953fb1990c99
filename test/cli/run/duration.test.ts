// Durations on the command line.
import { expect } from 'chai';
import { parseDuration } from '#cli/run/duration.ts';

describe('run: durations', () => {
  it('reads what people write', () => {
    expect(['20s', '1m30s', '500ms', '2h', '20', '1.5s'].map(parseDuration)).to.deep.equal([20_000, 90_000, 500, 7_200_000, 20_000, 1500]);
  });

  it('refuses what is no duration, zero, or longer than a timer takes', () => {
    for (const text of ['', 's', '-1s', '0s', '20 s', '1d', 'soon', '1e3s', '1000h']) expect(parseDuration(text), text).to.equal(null);
  });
});
