// Session affinity: the workload's calls keep to one endpoint of a backend, as long as it is there and well.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { EndpointSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { EJECT_AFTER_FAILURES, EJECTION_MAX_MS } from '#sidecar/balance/ejections.ts';
import { EndpointSet } from '#sidecar/balance/endpoint-set.ts';
import type { EndpointState } from '#sidecar/balance/endpoint-state.ts';
import { dice } from '#test/support/dice.ts';

const LENGTH_MS = 10_000;
const endpoint = (n: number) => create(EndpointSchema, { address: `10.0.0.${n}`, port: 8080, pod: `shop/p${n}` });
const listOf = (...numbers: number[]) => numbers.map(endpoint);

describe('EndpointSet with affinity', () => {
  const random = dice(7);
  let set: EndpointSet;
  let nowMs: number;

  beforeEach(() => {
    set = new EndpointSet();
    set.update(listOf(1, 2, 3, 4));
    set.setAffinity(LENGTH_MS);
    nowMs = 0;
  });

  /** One call that is answered. */
  function call(latencyMs = 5): EndpointState {
    const state = set.pick(random, nowMs)!;
    set.onStart(state);
    set.onEnd(state, latencyMs, false, nowMs + latencyMs, random);
    nowMs += latencyMs;
    return state;
  }

  /** Endpoints of so many calls, each `everyMs` after the one before. */
  function spread(calls: number, everyMs: number): Set<string> {
    const found = new Set<string>();
    for (let i = 0; i < calls; i++) {
      found.add(call().address);
      nowMs += everyMs;
    }
    return found;
  }

  it('sends all calls to one endpoint, however many are under way and however slow it is', () => {
    const first = call();
    for (let i = 0; i < 200; i++) {
      const state = set.pick(random, nowMs)!;
      expect(state).to.equal(first);
      set.onStart(state);
    }
    for (let i = 0; i < 200; i++) set.onEnd(first, 2_000, false, nowMs, random);
    expect(call()).to.equal(first);
  });

  it('sends TCP connections there too, which are picked as further attempts are', () => {
    const first = call();
    for (let i = 0; i < 20; i++) expect(set.pickOther([], random, nowMs)).to.equal(first);
  });

  it('counts the time from the last call', () => {
    expect(spread(20, LENGTH_MS - 10).size).to.equal(1);
    expect(spread(40, LENGTH_MS).size).to.equal(4);
  });

  it('moves on when the endpoint leaves, and stays with the next one when it comes back', () => {
    const first = call();
    set.update(listOf(1, 2, 3, 4).filter(({ address }) => address !== first.address));
    const second = call();
    expect(second.address).not.to.equal(first.address);
    set.update(listOf(1, 2, 3, 4));
    expect([...spread(20, 1)]).to.deep.equal([second.address]);
  });

  it('stays where it is when others come and go', () => {
    const first = call();
    const number = Number(first.address.split('.')[3]);
    for (const others of [[5], [5, 6, 7, 8, 9], []]) {
      set.update(listOf(...[number, ...others].sort()));
      expect(spread(5, 1)).to.deep.equal(new Set([first.address]));
    }
  });

  it('begins with the only endpoint there is', () => {
    set.update(listOf(9));
    const first = call();
    set.update(listOf(1, 2, 3, 9));
    expect([...spread(20, 1)]).to.deep.equal([first.address]);
  });

  it('is for one pod: another one with the same address is not the same endpoint', () => {
    set.update(listOf(1));
    call();
    set.update([create(EndpointSchema, { address: '10.0.0.1', port: 8080, pod: 'shop/other' }), endpoint(2)]);
    expect(call().pod).not.to.equal('shop/p1');
  });

  it('leaves an endpoint that is ejected, for the one that took over', () => {
    const first = call();
    for (let i = 0; i < EJECT_AFTER_FAILURES; i++) {
      set.onStart(first);
      set.onEnd(first, 1, true, nowMs, random);
    }
    const second = call();
    expect(second).not.to.equal(first);
    set.setAffinity(10 * EJECTION_MAX_MS);
    nowMs += 2 * EJECTION_MAX_MS;
    expect([...spread(5, 1)]).to.deep.equal([second.address]);
  });

  it('follows the attempt that went to another endpoint because there was no connection', () => {
    const first = call();
    set.onConnectFailure(first, nowMs, random);
    const second = set.pickOther([first], random, nowMs)!;
    expect(second).not.to.equal(first);
    expect([...spread(20, 1)]).to.deep.equal([second.address]);
  });

  it('keeps an endpoint that refuses calls now and then, which always the same other one takes', () => {
    const first = call();
    const others = new Set<EndpointState>();
    for (let i = 0; i < 20; i++) {
      others.add(set.pickOther([first], random, nowMs)!);
      expect(call()).to.equal(first);
    }
    const [other, ...more] = others;
    expect(other).not.to.equal(first);
    expect(more).to.deep.equal([]);
    expect(set.pickOther([first, other!], random, nowMs)).not.to.be.oneOf([first, other]);
  });

  it('stays with the one that took the refused calls when the refusing one has left', () => {
    const first = call();
    const other = set.pickOther([first], random, nowMs)!;
    set.update(listOf(1, 2, 3, 4).filter(({ address }) => address !== first.address));
    expect([...spread(20, 1)]).to.deep.equal([other.address]);
  });

  it('keeps the one endpoint although it is ejected, because there is no other', () => {
    set.update(listOf(1));
    const first = call();
    set.onConnectFailure(first, nowMs, random);
    expect(call()).to.equal(first);
  });

  it('ends when the Service asks for it no more, and follows a new length at once', () => {
    call();
    set.setAffinity(100);
    expect(spread(40, 100).size).to.equal(4);
    set.setAffinity(0);
    expect(spread(40, 1).size).to.equal(4);
  });

  it('has nothing to give without endpoints', () => {
    set.update([]);
    expect(set.pick(random, nowMs)).to.equal(null);
    expect(set.pickOther([], random, nowMs)).to.equal(null);
  });

  it('leaves its endpoint only when that has left, was ejected or has been idle for too long', () => {
    const step = fc.oneof(
      fc.record({ waitMs: fc.integer({ min: 0, max: 2 * LENGTH_MS }) }),
      fc.record({ list: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.integer(), (steps, seed) => {
        const draw = dice(seed);
        const tried = new EndpointSet();
        tried.update(listOf(1, 2, 3));
        tried.setAffinity(LENGTH_MS);
        let atMs = 0;
        let last = tried.pick(draw, atMs)!;
        for (const each of steps) {
          const before = atMs;
          if ('waitMs' in each) atMs += each.waitMs;
          else tried.update(listOf(...each.list));
          const next = tried.pick(draw, atMs)!;
          expect(next.listed).to.equal(true);
          if (last.listed && atMs - before < LENGTH_MS) expect(next).to.equal(last);
          last = next;
        }
      }),
    );
  });
});
