// The balancer on a simulated clock and seeded dice: shares, newcomers, departures, ejection.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Endpoint, EndpointSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { EJECT_AFTER_FAILURES, EJECTION_BASE_MS, EJECTION_MAX_MS, type Random } from '#sidecar/balance/ejections.ts';
import { EndpointSet } from '#sidecar/balance/endpoint-set.ts';
import type { EndpointState } from '#sidecar/balance/endpoint-state.ts';
import { dice } from '#test/support/dice.ts';

const endpoint = (n: number, fields: { identity?: string; pod?: string } = {}): Endpoint =>
  create(EndpointSchema, { address: `10.0.0.${n}`, port: 8080, pod: `shop/p${n}`, ...fields });
const endpoints = (count: number) => Array.from({ length: count }, (_, i) => endpoint(i + 1));
const setOf = (count: number): EndpointSet => {
  const set = new EndpointSet();
  set.update(endpoints(count));
  return set;
};

interface Load {
  calls: number;
  /** Calls in flight at any time. */
  concurrency: number;
  latencyMs: (state: EndpointState, random: Random, nowMs: number) => number;
  seed: number;
  startMs?: number;
}

/** A closed loop: each ended call starts the next. Returns calls by address. */
function simulate(set: EndpointSet, { calls, concurrency, latencyMs, seed, startMs = 0 }: Load): Map<string, number> {
  const random = dice(seed);
  const counts = new Map<string, number>();
  const inFlight: { endMs: number; startMs: number; state: EndpointState }[] = [];
  let started = 0;
  const start = (nowMs: number) => {
    const state = set.pick(random, nowMs)!;
    set.onStart(state);
    counts.set(state.address, (counts.get(state.address) ?? 0) + 1);
    inFlight.push({ endMs: nowMs + latencyMs(state, random, nowMs), startMs: nowMs, state });
    started++;
  };
  while (started < concurrency) start(startMs);
  while (inFlight.length > 0) {
    const next = inFlight.reduce((soonest, call) => (call.endMs < soonest.endMs ? call : soonest));
    inFlight.splice(inFlight.indexOf(next), 1);
    set.onEnd(next.state, next.endMs - next.startMs, false, next.endMs, random);
    if (started < calls) start(next.endMs);
  }
  return counts;
}

const shareOf = (counts: Map<string, number>, n: number, calls: number) => (counts.get(`10.0.0.${n}`) ?? 0) / calls;
/** Log-normal around a median, as services are. */
const noisy = (medianMs: number, random: Random) =>
  medianMs * Math.exp(0.4 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));

describe('EndpointSet: shares', () => {
  for (const concurrency of [1, 8, 50]) {
    it(`gives equal endpoints equal shares within 15 % with ${concurrency} calls in flight`, () => {
      for (let seed = 1; seed <= 5; seed++) {
        for (const count of [3, 6]) {
          const counts = simulate(setOf(count), { calls: 3_000, concurrency, seed, latencyMs: (_, random) => noisy(1, random) });
          for (let n = 1; n <= count; n++) expect(shareOf(counts, n, 3_000) * count, `seed ${seed}`).to.be.closeTo(1, 0.15);
        }
      }
    });
  }

  it('does not brand an endpoint for a stall of its garbage collector', () => {
    // Each endpoint stands still for 30 ms of each second.
    const stalling: Load['latencyMs'] = (state, random, nowMs) => {
      const phaseMs = (nowMs + state.address.charCodeAt(7) * 307) % 1_000;
      return noisy(1, random) + (phaseMs < 30 ? 30 - phaseMs : 0);
    };
    for (let seed = 1; seed <= 5; seed++) {
      const counts = simulate(setOf(3), { calls: 6_000, concurrency: 4, seed, latencyMs: stalling });
      for (let n = 1; n <= 3; n++) expect(shareOf(counts, n, 6_000) * 3, `seed ${seed}`).to.be.closeTo(1, 0.15);
    }
  });

  it('gives a slower endpoint less, also where calls come one after another, and lets it recover', () => {
    for (const concurrency of [1, 8]) {
      const set = setOf(3);
      const slow: Load = {
        calls: 6_000,
        concurrency,
        seed: 7,
        latencyMs: ({ address }, random) => noisy(address === '10.0.0.1' ? 40 : 2, random),
      };
      expect(shareOf(simulate(set, slow), 1, 6_000)).to.be.within(0.0001, 0.05);
      const recovered: Load = { calls: 6_000, concurrency, seed: 8, startMs: 100_000, latencyMs: (_, random) => noisy(2, random) };
      expect(shareOf(simulate(set, recovered), 1, 6_000)).to.be.above(0.25);
    }
  });

  it('neither floods nor starves a newcomer', () => {
    const set = setOf(3);
    const load: Load = { calls: 3_000, concurrency: 8, seed: 3, latencyMs: (_, random) => noisy(20, random) };
    simulate(set, load);
    const before = set.endpoints.map(({ ewmaMs }) => ewmaMs);
    set.update(endpoints(4));
    expect(set.endpoints[3].ewmaMs).to.be.within(Math.min(...before), Math.max(...before));
    const counts = simulate(set, { ...load, seed: 4, startMs: 60_000 });
    expect(shareOf(counts, 4, 3_000)).to.be.closeTo(0.25, 0.04);
  });

  it('does not reward quick failures', () => {
    const set = setOf(2);
    const [state] = set.endpoints;
    for (let i = 0; i < 4; i++) {
      set.onStart(state);
      set.onEnd(state, 50, false, i * 100, Math.random);
    }
    const slow = state.ewmaMs;
    set.onStart(state);
    set.onEnd(state, 0.1, true, 500, Math.random);
    expect(state.ewmaMs).to.equal(slow);
  });
});

describe('EndpointSet: update', () => {
  it('has no endpoint to pick when it is empty', () => {
    expect(new EndpointSet().pick(dice(1), 0)).to.equal(null);
  });

  it('keeps the records of those that stay and returns those that left, which are never picked again', () => {
    const set = setOf(3);
    const [first, second, third] = set.endpoints;
    first.connections = 'pool';
    set.onStart(first);
    expect(set.update([endpoint(3), endpoint(1)])).to.deep.equal([second]);
    expect(second.listed).to.equal(false);
    expect(set.endpoints).to.have.members([first, third]);
    expect(first).to.include({ inFlight: 1, connections: 'pool' });
    const random = dice(1);
    for (let i = 0; i < 500; i++) expect(set.pick(random, i)).not.to.equal(second);
  });

  it('takes another pod or identity on the same address for another endpoint', () => {
    const set = setOf(1);
    const [old] = set.endpoints;
    expect(set.update([endpoint(1, { pod: 'shop/other' })])).to.deep.equal([old]);
    expect(set.update([endpoint(1, { pod: 'shop/other', identity: 'spiffe://cluster.local/ns/shop/sa/a' })])).to.have.length(1);
    expect(set.endpoints[0]).to.include({ inFlight: 0, connections: null });
  });

  it('lists an endpoint once, and puts IPv6 into brackets', () => {
    const set = new EndpointSet();
    set.update([endpoint(1), endpoint(1), create(EndpointSchema, { address: 'fd00::1', port: 80 })]);
    expect(set.endpoints.map(({ key }) => key)).to.deep.equal(['10.0.0.1:8080', '[fd00::1]:80']);
  });

  it('picks from exactly the present endpoints through any sequence of updates', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        (lists, seed) => {
          const set = new EndpointSet();
          const random = dice(seed);
          for (const [round, list] of lists.entries()) {
            set.update(list.map((n) => endpoint(n)));
            for (let i = 0; i < 30; i++) {
              const picked = set.pick(random, round * 1_000 + i);
              if (list.length === 0) expect(picked).to.equal(null);
              else expect(list.map((n) => `10.0.0.${n}`)).to.include(picked!.address);
              if (picked !== null && random() < 0.2) set.onConnectFailure(picked, round * 1_000 + i, random);
            }
          }
        },
      ),
    );
  });
});

describe('EndpointSet: ejection', () => {
  const half: Random = () => 0.5;
  const fail = (set: EndpointSet, state: EndpointState, nowMs: number) => {
    set.onStart(state);
    set.onEnd(state, 1, true, nowMs, half);
  };
  const pickedIn = (set: EndpointSet, nowMs: number) => {
    const random = dice(nowMs + 1);
    return new Set(Array.from({ length: 300 }, () => set.pick(random, nowMs)));
  };

  it('ejects after five failures in a row, for a second', () => {
    const set = setOf(3);
    const [bad] = set.endpoints;
    for (let i = 1; i < EJECT_AFTER_FAILURES; i++) fail(set, bad, 0);
    expect(pickedIn(set, 0)).to.include(bad);
    fail(set, bad, 0);
    expect(pickedIn(set, 0)).not.to.include(bad);
    expect(pickedIn(set, EJECTION_BASE_MS - 1)).not.to.include(bad);
    expect(pickedIn(set, EJECTION_BASE_MS)).to.include(bad);
  });

  it('reports each ejection once', () => {
    const reasons: string[] = [];
    const set = new EndpointSet((reason) => reasons.push(reason));
    set.update(endpoints(3));
    const [bad, gone, left] = set.endpoints;
    for (let i = 0; i < 2 * EJECT_AFTER_FAILURES; i++) fail(set, bad, 0);
    for (let i = 0; i < 2; i++) set.onConnectFailure(gone, 0, half);
    expect(reasons).to.deep.equal(['failures', 'unreachable']);
    set.update([]);
    set.onConnectFailure(left, 0, half);
    expect(reasons, 'an endpoint that has left gets no calls anyway').to.have.length(2);
  });

  it('forgets failures at a success', () => {
    const set = setOf(3);
    const [state] = set.endpoints;
    for (let i = 0; i < 20; i++) {
      if (i % EJECT_AFTER_FAILURES < EJECT_AFTER_FAILURES - 1) fail(set, state, 0);
      else {
        set.onStart(state);
        set.onEnd(state, 1, false, 0, half);
      }
    }
    expect(state.ejected).to.equal(false);
    expect(state.inFlight).to.equal(0);
  });

  it('doubles the length up to 30 s, one failure being enough on probation, and forgets after a quiet time', () => {
    const set = setOf(3);
    const [bad] = set.endpoints;
    const lengths: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < EJECT_AFTER_FAILURES - 1; i++) fail(set, bad, nowMs);
    for (let round = 0; round < 7; round++) {
      fail(set, bad, nowMs);
      lengths.push(bad.ejectedUntilMs - nowMs);
      nowMs = bad.ejectedUntilMs;
      expect(pickedIn(set, nowMs)).to.include(bad);
    }
    expect(lengths).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, EJECTION_MAX_MS, EJECTION_MAX_MS]);
    nowMs += EJECTION_MAX_MS + 1;
    fail(set, bad, nowMs);
    expect(bad.ejectedUntilMs - nowMs).to.equal(EJECTION_BASE_MS);
  });

  it('spreads the length by the jitter', () => {
    for (const [random, lengthMs] of [
      [0, 800],
      [0.999999, 1_200],
    ] as const) {
      const set = setOf(2);
      set.onConnectFailure(set.endpoints[0], 0, () => random);
      expect(set.endpoints[0].ejectedUntilMs).to.be.closeTo(lengthMs, 1);
    }
  });

  it('never ejects more than half for failed calls', () => {
    const set = setOf(5);
    for (const state of set.endpoints) for (let i = 0; i < 10; i++) fail(set, state, 0);
    expect(set.endpoints.filter(({ ejected }) => ejected)).to.have.length(2);
    const alone = setOf(1);
    for (let i = 0; i < 10; i++) fail(alone, alone.endpoints[0], 0);
    expect(alone.pick(half, 0)).to.equal(alone.endpoints[0]);
  });

  it('ejects at the first failed connect, all but one if need be', () => {
    const set = setOf(3);
    const [first, second, third] = set.endpoints;
    set.onConnectFailure(first, 0, half);
    set.onConnectFailure(second, 0, half);
    expect([...pickedIn(set, 0)]).to.deep.equal([third]);
  });

  it('picks among all when all are ejected', () => {
    const set = setOf(3);
    for (const state of set.endpoints) set.onConnectFailure(state, 0, half);
    expect([...pickedIn(set, 0)]).to.have.members([...set.endpoints]);
  });

  it('gives the rest equal shares while one is ejected', () => {
    const set = setOf(5);
    set.onConnectFailure(set.endpoints[1], 0, half);
    const random = dice(5);
    const counts = new Map<EndpointState, number>();
    for (let i = 0; i < 4_000; i++) {
      const picked = set.pick(random, 0)!;
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    expect(counts.size).to.equal(4);
    for (const count of counts.values()) expect(count / 1_000).to.be.closeTo(1, 0.15);
  });

  it('counts no departed endpoint among the ejected', () => {
    const set = setOf(4);
    set.onConnectFailure(set.endpoints[0], 0, half);
    set.onConnectFailure(set.endpoints[1], 0, half);
    set.update([endpoint(3), endpoint(4)]);
    for (let i = 0; i < EJECT_AFTER_FAILURES; i++) fail(set, set.endpoints[0], 0);
    expect(set.endpoints[0].ejected).to.equal(true);
  });

  it('returns the call of a caller that gave up', () => {
    const set = setOf(2);
    const [state] = set.endpoints;
    set.onStart(state);
    set.onCancel(state);
    expect(state).to.include({ inFlight: 0, consecutiveFailures: 0 });
  });

  it('draws for a further attempt an endpoint that was not tried yet, ejected ones last, and a tried one when there is no other', () => {
    const set = setOf(4);
    const [a, b, c, d] = set.endpoints;
    const random = dice(7);
    const drawn = (tried: EndpointState[]) => [...new Set(Array.from({ length: 200 }, () => set.pickOther(tried, random, 0)?.pod))].sort();
    for (const state of [a, b, c]) state.inFlight = 5;
    expect(drawn([d]), 'the idlest was tried').to.deep.equal(['shop/p1', 'shop/p2', 'shop/p3']);
    expect(drawn([d, a, b])).to.deep.equal(['shop/p3']);
    set.onConnectFailure(c, 0, random);
    expect(drawn([d, a])).to.deep.equal(['shop/p2']);
    expect(drawn([d, a, b]), 'better an ejected one than one that was tried').to.deep.equal(['shop/p3']);
    expect(drawn([a, b, c, d])).to.not.include(undefined);
    expect(setOf(1).pickOther([], random, 0)).to.not.equal(null);
    expect(new EndpointSet().pickOther([], random, 0)).to.equal(null);
  });
});
