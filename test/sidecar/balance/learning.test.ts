// What calls that end badly, or never, teach the balancer: simulated on a clock of its own, with seeded dice.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { EndpointSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { EJECT_AFTER_FAILURES, EJECTION_BASE_MS, type Random } from '#sidecar/balance/ejections.ts';
import { EndpointSet } from '#sidecar/balance/endpoint-set.ts';
import type { EndpointState } from '#sidecar/balance/endpoint-state.ts';
import { settleTraffic } from '#sidecar/balance/load.ts';
import type { MethodRecord } from '#sidecar/balance/method-record.ts';
import { dice } from '#test/support/dice.ts';

const SEEDS = [1, 2, 3, 4, 5];

function setOf(count: number, onEject: () => void = () => {}): EndpointSet {
  const set = new EndpointSet(onEject);
  set.update(endpoints(count));
  return set;
}

const endpoints = (count: number) =>
  Array.from({ length: count }, (_, i) => create(EndpointSchema, { address: `10.0.0.${i + 1}`, port: 80, pod: `shop/p${i + 1}` }));

/** What an endpoint does with a call: its answer comes after so many ms (never: Infinity), and may be a failure. */
interface Answer {
  readonly ms: number;
  readonly failed?: boolean;
}

interface Traffic {
  readonly seed: number;
  readonly fromMs?: number;
  readonly forMs: number;
  /** Calls that begin in a second, evenly. */
  readonly perSecond: number;
  readonly deadlineMs?: number;
  readonly method?: (call: number) => string;
  answer(n: number, nowMs: number, random: Random, method: string): Answer;
}

interface Outcome {
  /** Calls by endpoint, and those that failed or were late, by second. */
  readonly calls: number[];
  readonly bad: number[];
}

/** An open loop: calls begin whether or not others have ended. */
function run(
  set: EndpointSet,
  { seed, fromMs = 0, forMs, perSecond, deadlineMs = Number.POSITIVE_INFINITY, ...traffic }: Traffic,
): Outcome {
  const random = dice(seed);
  const outcome: Outcome = { calls: set.endpoints.map(() => 0), bad: Array.from({ length: Math.ceil(forMs / 1000) }, () => 0) };
  const ends: { atMs: number; end: () => void }[] = [];
  const endUpTo = (nowMs: number): void => {
    ends.sort((a, b) => a.atMs - b.atMs);
    while (ends.length > 0 && ends[0].atMs <= nowMs) ends.shift()!.end();
  };
  for (let call = 0; call * 1000 < forMs * perSecond; call++) {
    const startMs = fromMs + (call * 1000) / perSecond;
    endUpTo(startMs);
    const name = traffic.method?.(call) ?? 'M';
    const method = set.methods.of(name);
    const state = set.pick(random, startMs, method)!;
    const n = set.endpoints.indexOf(state);
    const { ms, failed = false } = traffic.answer(n, startMs, random, name);
    outcome.calls[n]++;
    set.onStart(state);
    const late = ms > deadlineMs;
    const atMs = startMs + Math.min(ms, deadlineMs);
    if (late || failed) outcome.bad[Math.floor((startMs - fromMs) / 1000)]++;
    if (atMs === Number.POSITIVE_INFINITY) continue;
    ends.push({
      atMs,
      end: () =>
        late ? set.onUnanswered(state, method, startMs, atMs, random) : answer(set, state, method, startMs, atMs, failed, random),
    });
  }
  endUpTo(Number.POSITIVE_INFINITY);
  return outcome;
}

/** As forwarding reports a whole answer. */
function answer(
  set: EndpointSet,
  state: EndpointState,
  method: MethodRecord,
  startMs: number,
  nowMs: number,
  failed: boolean,
  random: Random,
): void {
  set.onAnswer(state, nowMs);
  method.answered(nowMs - startMs);
  const weight = failed ? method.failed(state, nowMs) : 0;
  if (!failed) method.succeeded(state, nowMs);
  set.onAnswerEnd(state, startMs, nowMs - startMs, failed, nowMs, random, weight);
}

const noisy = (medianMs: number, random: Random): number =>
  medianMs * Math.exp(0.4 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);
const ejectedOf = (set: EndpointSet): number => set.endpoints.filter(({ ejected }) => ejected).length;

describe('EndpointSet: calls without an answer', () => {
  for (const [perSecond, atFirst] of [
    [20, 8],
    [160, 30],
  ]) {
    it(`a pod among three that hangs loses its share: ${perSecond} calls a second with a deadline of 300 ms`, () => {
      for (const seed of SEEDS) {
        const set = setOf(3);
        const healthy: Traffic = {
          seed,
          forMs: 3_000,
          perSecond,
          deadlineMs: 300,
          answer: (_n, _now, random) => ({ ms: noisy(2, random) }),
        };
        run(set, healthy);
        const hung: Traffic = {
          ...healthy,
          fromMs: 3_000,
          forMs: 60_000,
          answer: (n, _now, random) => ({ ms: n === 2 ? Number.POSITIVE_INFINITY : noisy(2, random) }),
        };
        const { bad } = run(set, hung);
        expect(sum(bad.slice(0, 1)), `seed ${seed}: ${bad}`).to.be.at.most(atFirst);
        expect(sum(bad.slice(1)), `seed ${seed}: ${bad}`).to.be.at.most(20);
        run(set, { ...healthy, fromMs: 63_000, forMs: 40_000 });
        const recovered = run(set, { ...healthy, fromMs: 103_000, forMs: 20_000 });
        expect(recovered.calls[2] / sum(recovered.calls), `seed ${seed}`).to.be.above(0.2);
      }
    });
  }

  it('a pod that answers too late loses its share as one that hangs', () => {
    for (const seed of SEEDS) {
      const set = setOf(3);
      const slow: Traffic = {
        seed,
        forMs: 30_000,
        perSecond: 50,
        deadlineMs: 300,
        answer: (n, _now, random) => ({ ms: noisy(n === 2 ? 1_000 : 5, random) }),
      };
      const { calls } = run(set, slow);
      expect(calls[2] / sum(calls), `seed ${seed}: ${calls}`).to.be.below(0.03);
    }
  });

  it('a pod that hangs from the start and calls one after another: at most ten meet it in 12 s', () => {
    for (const seed of SEEDS) {
      const set = setOf(3);
      const { bad } = run(set, {
        seed,
        forMs: 12_000,
        perSecond: 3,
        deadlineMs: 300,
        answer: (n, _now, random) => ({ ms: n === 0 ? Number.POSITIVE_INFINITY : noisy(2, random) }),
      });
      expect(sum(bad), `seed ${seed}: ${bad}`).to.be.at.most(10);
    }
  });

  it('all hang: at most half are ejected, and soon none', () => {
    for (const seed of SEEDS) {
      const set = setOf(4);
      const traffic: Traffic = {
        seed,
        forMs: 2_000,
        perSecond: 100,
        deadlineMs: 300,
        answer: (_n, _now, random) => ({ ms: noisy(2, random) }),
      };
      run(set, traffic);
      run(set, { ...traffic, fromMs: 2_000, forMs: 30_000, answer: () => ({ ms: Number.POSITIVE_INFINITY }) });
      expect(ejectedOf(set)).to.be.at.most(2);
      const after = run(set, { ...traffic, fromMs: 70_000, forMs: 20_000 });
      for (const calls of after.calls) expect(calls / sum(after.calls), `${after.calls}`).to.be.above(0.15);
    }
  });

  it('a deadline shorter than answers take is no sign of a bad endpoint', () => {
    for (const seed of SEEDS) {
      let ejections = 0;
      const set = setOf(3, () => ejections++);
      const traffic: Traffic = { seed, forMs: 5_000, perSecond: 50, answer: (_n, _now, random) => ({ ms: noisy(100, random) }) };
      run(set, traffic);
      run(set, { ...traffic, fromMs: 5_000, forMs: 20_000, deadlineMs: 50 });
      expect(ejections).to.equal(0);
    }
  });

  it('a watch that says nothing for an hour and is given up teaches nothing', () => {
    const set = setOf(3);
    const [state] = set.endpoints;
    const watch = set.methods.of('a.Watch/Watch');
    const random = dice(1);
    for (let i = 1; i <= 20; i++) {
      set.onStart(state);
      set.onUnanswered(state, watch, i, 3_600_000 + i, random);
    }
    expect(state).to.include({ inFlight: 0, ewmaMs: 0, consecutiveFailures: 0, ejected: false });
  });

  it('an endpoint that answers others meanwhile is slow, not gone', () => {
    const set = setOf(3);
    const [state, other] = set.endpoints;
    const method = set.methods.of('M');
    const random = dice(1);
    for (let i = 0; i < 20; i++) {
      const nowMs = i * 1_000;
      for (const answering of [state, other]) {
        set.onStart(answering);
        answer(set, answering, method, nowMs, nowMs + 2, false, random);
      }
      set.onStart(state);
      set.onUnanswered(state, method, nowMs, nowMs + 500, random);
    }
    expect(state).to.include({ ejected: false, consecutiveFailures: 0 });
    expect(state.ewmaMs).to.be.above(other.ewmaMs * 2);
  });

  it('is tried with one call a second when its time is over, not with all that come', () => {
    const set = setOf(2);
    const [bad] = set.endpoints;
    set.onConnectFailure(bad, 0, () => 0.5);
    const random = dice(3);
    const picks = (nowMs: number): number =>
      Array.from({ length: 100 }, () => set.pick(random, nowMs)).filter((state) => state === bad).length;
    expect([picks(EJECTION_BASE_MS - 1), picks(EJECTION_BASE_MS), picks(EJECTION_BASE_MS + 500)]).to.deep.equal([0, 1, 0]);
    set.onStart(bad);
    set.onEnd(bad, 1, false, EJECTION_BASE_MS + 600, random);
    expect(picks(EJECTION_BASE_MS + 700)).to.be.above(20);
  });
});

describe('EndpointSet: failures that endpoints answer', () => {
  const broken = (share: number): Omit<Traffic, 'seed'> => ({
    forMs: 30_000,
    perSecond: 100,
    method: (call) => (call % 5 === 0 ? 'Fine' : 'Broken'),
    answer: (_n, _now, random, method) => ({ ms: noisy(2, random), failed: method === 'Broken' && random() < share }),
  });

  for (const share of [0.4, 0.8, 1]) {
    it(`${share * 100} % of a method's calls fail on each endpoint: none is ejected, and shares stay equal`, () => {
      let ejections = 0;
      for (const seed of SEEDS) {
        const set = setOf(4, () => ejections++);
        const { calls } = run(set, { ...broken(share), seed });
        for (const n of calls) expect((n / sum(calls)) * 4, `seed ${seed}: ${calls}`).to.be.closeTo(1, 0.15);
      }
      expect(ejections).to.be.at.most(1);
    });
  }

  it('all of a Service whose only method fails everywhere: none is ejected', () => {
    for (const seed of SEEDS) {
      let ejections = 0;
      const set = setOf(4, () => ejections++);
      run(set, { ...broken(1), seed, method: () => 'Broken' });
      expect(ejections).to.equal(0);
    }
  });

  it('one endpoint alone fails: it is ejected after a few calls, and returns when it is well', () => {
    for (const seed of SEEDS) {
      const set = setOf(4);
      const traffic: Traffic = {
        seed,
        forMs: 20_000,
        perSecond: 100,
        answer: (n, _now, random) => ({ ms: noisy(2, random), failed: n === 1 }),
      };
      const { bad } = run(set, traffic);
      expect(bad[0], `seed ${seed}: ${bad}`).to.be.at.most(12);
      expect(sum(bad.slice(1)), `seed ${seed}: ${bad}`).to.be.at.most(10);
      const { calls } = run(set, { ...traffic, fromMs: 60_000, answer: (_n, _now, random) => ({ ms: noisy(2, random) }) });
      expect(calls[1] / sum(calls)).to.be.above(0.2);
    }
  });

  it('one endpoint fails where others fail too, but much more: it is ejected', () => {
    for (const seed of SEEDS) {
      let ejections = 0;
      const set = setOf(4, () => ejections++);
      run(set, { seed, forMs: 10_000, perSecond: 100, answer: (n, _now, random) => ({ ms: 2, failed: n === 1 || random() < 0.2 }) });
      expect(ejections).to.be.above(0);
      expect(set.endpoints[1].ejections).to.be.above(0);
    }
  });
});

describe('EndpointSet: what is no failure, and what is one', () => {
  const random = dice(1);

  it('a GOAWAY that refuses a hundred calls, again and again, between answers', () => {
    const set = setOf(3);
    const [state] = set.endpoints;
    for (let round = 0; round < 10; round++) {
      const nowMs = round * 2_000;
      for (let i = 0; i < 100; i++) {
        set.onStart(state);
        set.onRefused(state, nowMs, random);
      }
      set.onStart(state);
      set.onEnd(state, 2, false, nowMs + 10, random);
    }
    expect(state).to.include({ ejected: false, inFlight: 0 });
  });

  it('one that refuses for seconds and answers nothing is ejected', () => {
    const set = setOf(3);
    const [state] = set.endpoints;
    for (let nowMs = 0; nowMs < EJECT_AFTER_FAILURES * 1_000; nowMs += 100) {
      set.onStart(state);
      set.onRefused(state, nowMs, random);
    }
    expect(state.ejected).to.equal(true);
  });

  it('a connection that breaks under a hundred calls is one failure', () => {
    const set = setOf(3);
    const [state] = set.endpoints;
    for (let i = 0; i < 100; i++) set.onStart(state);
    for (let i = 0; i < 50; i++) set.onAnswer(state, 1);
    for (let i = 0; i < 100; i++) set.onLost(state, i < 50, 2, random);
    expect(state).to.include({ consecutiveFailures: 1, inFlight: 0, streams: 0, ejected: false });
  });
});

describe('EndpointSet: streams', () => {
  /** Streams whose answer has begun. */
  function openStreams(set: EndpointSet, state: EndpointState, count: number): void {
    for (let i = 0; i < count; i++) {
      set.onStart(state);
      set.onAnswer(state, 0);
      set.methods.of('Watch').openStreams++;
    }
  }

  const shareOfFirst = (set: EndpointSet): number => {
    const { calls } = run(set, { seed: 9, forMs: 10_000, perSecond: 200, answer: (_n, _now, random) => ({ ms: noisy(5, random) }) });
    return calls[0] / sum(calls);
  };

  it('that stand idle are no load: unary calls go to their endpoint as to others', () => {
    const set = setOf(2);
    openStreams(set, set.endpoints[0], 50);
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 1_000) settleTraffic(set.endpoints[0], nowMs);
    expect(shareOfFirst(set)).to.be.closeTo(0.5, 0.05);
  });

  it('that move much are load', () => {
    const set = setOf(2);
    const [busy] = set.endpoints;
    openStreams(set, busy, 50);
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 1_000) {
      busy.octets += 100 * 1024 * 1024;
      settleTraffic(busy, nowMs);
    }
    expect(busy.traffic).to.be.within(45, 50);
    expect(shareOfFirst(set)).to.be.below(0.1);
    for (let nowMs = 11_000; nowMs <= 30_000; nowMs += 1_000) settleTraffic(busy, nowMs);
    expect(busy.traffic).to.equal(0);
  });

  it('are spread by their number: a new endpoint catches up', () => {
    const set = setOf(2);
    openStreams(set, set.endpoints[0], 30);
    openStreams(set, set.endpoints[1], 30);
    set.update(endpoints(3));
    const random = dice(4);
    const watch = set.methods.of('Watch');
    for (let i = 0; i < 30; i++) openStreams(set, set.pick(random, i * 10, watch)!, 1);
    expect(set.endpoints[2].streams).to.be.above(15);
  });
});
