// What counts as a flood (L3, L4, idle frames): attacks are caught at their bound, and no legitimate peer ever is, by
// property.
import { expect } from 'chai';
import fc from 'fast-check';
import { FloodGuard } from '#sidecar/http2/flood.ts';
import {
  FORCED_RESET_BURST,
  FORCED_RESET_PER_SECOND,
  IDLE_FRAME_BUDGET,
  IDLE_FRAMES_PER_SECOND,
  IDLE_FRAMES_PER_WORK_FRAME,
  OCTETS_PER_WINDOW_UPDATE,
  RAPID_RESET_MIN_REQUESTS,
  RESET_AT_ONCE_MS,
  RESET_SOON_MS,
  TRUSTED_RESET_BURST,
  TRUSTED_RESETS_PER_SECOND,
} from '#sidecar/http2/limits.ts';
import { data, frame, GRPC_OK, headers, request, settings, windowUpdate } from '#test/support/raw-peer.ts';
import { Wire } from '#test/support/wire.ts';

/** The longest answer; the others are a part of it. */
const ANSWER = Buffer.alloc(200_000);

function idleUntilTooMany(guard: FloodGuard, nowMs: number): number {
  let frames = 0;
  while (!guard.idleFrame(nowMs) && frames < 100_000) frames++;
  return frames;
}

describe('FloodGuard', () => {
  it('allows a budget of idle frames, then so many per second', () => {
    const guard = new FloodGuard(0);
    expect(idleUntilTooMany(guard, 0)).equal(IDLE_FRAME_BUDGET);
    const later = new FloodGuard(0);
    for (let i = 0; i < IDLE_FRAME_BUDGET; i++) later.idleFrame(0);
    expect(idleUntilTooMany(later, 1000)).equal(IDLE_FRAMES_PER_SECOND);
  });

  it('earns idle frames by work, up to the budget', () => {
    const guard = new FloodGuard(0);
    for (let i = 0; i < IDLE_FRAME_BUDGET; i++) guard.idleFrame(0);
    for (let i = 0; i < 10; i++) guard.work();
    expect(idleUntilTooMany(guard, 0)).equal(10 * IDLE_FRAMES_PER_WORK_FRAME);
    const rich = new FloodGuard(0);
    for (let i = 0; i < 100_000; i++) rich.work();
    expect(idleUntilTooMany(rich, 0)).most(IDLE_FRAME_BUDGET + IDLE_FRAMES_PER_WORK_FRAME);
  });

  it('L3 closes at more than half of the requests reset soon, after enough of them', () => {
    const guard = new FloodGuard(0);
    let resets = 0;
    for (let i = 1; ; i++) {
      guard.request();
      resets++;
      if (guard.peerReset(RESET_SOON_MS - 1, 0)) break;
      expect(i).lessThan(RAPID_RESET_MIN_REQUESTS);
    }
    expect(resets).equal(RAPID_RESET_MIN_REQUESTS);
    const patient = new FloodGuard(0);
    for (let i = 0; i < 5000; i++) {
      patient.request();
      expect(patient.peerReset(i % 2 === 0 ? RESET_SOON_MS : 0, 0)).equal(false);
    }
  });

  it('L3 judges a long-lived connection by its present', () => {
    const guard = new FloodGuard(0);
    for (let i = 0; i < 1_000_000; i++) guard.request();
    let requests = 0;
    do {
      guard.request();
      requests++;
    } while (!guard.peerReset(0, 0) && requests < 100_000);
    expect(requests).lessThan(20_000);
  });

  it('L4 allows a burst of forced resets, then so many per second', () => {
    const guard = new FloodGuard(0);
    let resets = 0;
    while (!guard.forcedReset(0)) resets++;
    expect(resets).equal(FORCED_RESET_BURST);
    const slow = new FloodGuard(0);
    for (let i = 0; i < 10 * FORCED_RESET_BURST; i++) expect(slow.forcedReset((i * 1000) / FORCED_RESET_PER_SECOND)).equal(false);
  });

  it('counts of a trusted peer only what no deadline and no user does, and its refused requests not at all', () => {
    const guard = new FloodGuard(0, true);
    for (let i = 0; i < 100_000; i++) {
      guard.request();
      expect(guard.peerReset(RESET_AT_ONCE_MS, 0) || guard.refusedRequest(0) || guard.refusedStream(0)).equal(false);
    }
    let resets = 0;
    while (!guard.peerReset(RESET_AT_ONCE_MS - 1, 0)) resets++;
    expect(resets).equal(TRUSTED_RESET_BURST);
    expect(guard.forcedReset(0)).equal(true);
    for (let i = 0; i < TRUSTED_RESETS_PER_SECOND - 1; i++) guard.peerReset(0, 1000);
    expect(guard.peerReset(0, 2001)).equal(false);
  });

  it('gives WINDOW_UPDATE for what was sent, at any time', () => {
    const guard = new FloodGuard(0);
    expect(guard.windowUpdate()).equal(true);
    guard.sentOctets += 100 * OCTETS_PER_WINDOW_UPDATE;
    let earned = 0;
    while (!guard.windowUpdate()) earned++;
    expect(earned).equal(100);
  });
});

describe('a peer that grants its window octet by octet (CVE-2019-9511)', () => {
  it('is closed', () => {
    const wire = new Wire({ client: false }, settings(4, 0));
    wire.receive(headers(1, request(), true));
    const [{ stream }] = wire.requests;
    stream.sendData(Buffer.alloc(50_000), 0, 50_000, true);
    let updates = 0;
    for (; updates < 50_000 && !wire.connection.stopped; updates++) wire.receive(windowUpdate(1, 1));
    expect(updates).within(IDLE_FRAME_BUDGET, 2 * IDLE_FRAME_BUDGET);
  });
});

describe('legitimate peers', () => {
  /** How a client behaves; every octet it gets is returned in time. */
  interface Habits {
    /** Octets that it reads at a time, and whether it returns the window after each read or at half of it. */
    readOctets: number;
    eager: boolean;
    /** gRPC's estimate of the bandwidth-delay product: a ping when data come, if none is under way. */
    bdpPings: boolean;
    priorities: boolean;
    changesSettings: boolean;
    answers: number[];
    streams: number;
  }

  const habits: fc.Arbitrary<Habits> = fc.record({
    readOctets: fc.constantFrom(512, 1024, 4096, 16_384, 65_536),
    eager: fc.boolean(),
    bdpPings: fc.boolean(),
    priorities: fc.boolean(),
    changesSettings: fc.boolean(),
    answers: fc.array(fc.integer({ min: 0, max: ANSWER.length }), { minLength: 1, maxLength: 20 }),
    streams: fc.integer({ min: 1, max: 50 }),
  });

  it('are never closed, whatever their mix of pings, window updates, priorities and settings', () => {
    fc.assert(
      fc.property(habits, (h) => {
        const wire = new Wire({ client: false });
        wire.receive(windowUpdate(0, 1_000_000));
        let id = -1;
        const ping = frame(6, 0, 0, Buffer.alloc(8));
        const unread = new Map<number, number>();
        let owed = 0;
        for (const size of h.answers) {
          for (let i = 0; i < h.streams; i++) {
            id += 2;
            wire.receive(headers(id, request(), true));
            // curl and browsers open the stream's window and give it a weight.
            wire.receive(windowUpdate(id, 10_000_000));
            if (h.priorities) wire.receive(frame(2, 0, id, Buffer.from([0, 0, 0, 0, 200])));
            const { stream } = wire.requests[wire.requests.length - 1];
            stream.sendHeaders(
              { list: GRPC_OK, never: null, encoder: null, generation: -1, bytes: Buffer.alloc(0), spelled: null },
              [],
              false,
            );
            stream.sendData(ANSWER, 0, size, true);
          }
          if (h.changesSettings) wire.receive(settings(4, 65_535), settings(3, 100));
          for (let quiet = 0; quiet < 2; ) {
            const frames = wire.take();
            quiet = frames.some((f) => f.type === 0) ? 0 : quiet + 1;
            if (h.bdpPings && frames.some((f) => f.type === 0 && f.payload.length > 0)) wire.receive(ping);
            for (const f of frames) if (f.type === 0) unread.set(f.id, (unread.get(f.id) ?? 0) + f.payload.length);
            // It reads only now that everything has come, in small pieces.
            for (const [stream, octets] of unread) {
              for (let left = octets; left > 0; left -= h.readOctets) {
                const read = Math.min(h.readOctets, left);
                owed += read;
                if (h.eager) {
                  wire.receive(windowUpdate(0, read), windowUpdate(stream, read));
                  owed = 0;
                } else if (owed > 500_000) {
                  wire.receive(windowUpdate(0, owed));
                  owed = 0;
                }
              }
            }
            unread.clear();
            if (owed > 0) wire.receive(windowUpdate(0, owed));
            owed = 0;
          }
        }
        expect(wire.closed).equal('');
        expect(wire.connection.stopped).equal(false);
        expect(wire.connection.streams.size).equal(0);
      }),
      { numRuns: 40 },
    );
  });

  it('that upload with pings and tiny messages are not closed either', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request()));
    for (let i = 0; i < 5000; i++) {
      wire.receive(data(1, 'tiny'));
      if (i % 2 === 0) wire.receive(frame(6, 0, 0, Buffer.alloc(8)));
    }
    expect(wire.connection.stopped).equal(false);
  });

  it('may send keepalive pings every second for an hour without a call', () => {
    const wire = new Wire({ client: false });
    for (let second = 0; second < 3600; second++) {
      wire.clock.nowMs += 1000;
      wire.receive(frame(6, 0, 0, Buffer.alloc(8)));
    }
    expect(wire.connection.stopped).equal(false);
  });
});
