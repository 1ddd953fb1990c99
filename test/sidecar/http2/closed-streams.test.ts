// What is remembered of streams that closed.
import { expect } from 'chai';
import { ClosedStreams } from '#sidecar/http2/closed-streams.ts';

describe('ClosedStreams', () => {
  it('tells streams that were reset by us from those that ended, and both from those that never were', () => {
    const closed = new ClosedStreams();
    closed.add(1, false);
    closed.add(0x7fffffff, true);
    expect([1, 3, 0x7fffffff].map((id) => closed.how(id))).deep.equal(['ended', null, 'reset']);
  });

  it('says that a stream may be one it forgot, once there were many', () => {
    const closed = new ClosedStreams();
    for (let id = 1; id <= 2 * 1025; id += 2) closed.add(id, false);
    expect([1, 3, 2049, 5001].map((id) => closed.how(id))).deep.equal(['forgotten', 'ended', 'ended', 'forgotten']);
  });
});
