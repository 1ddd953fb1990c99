// The election: three replicas for one Lease, and leaders that freeze, lose the server, or leave.
import { expect } from 'chai';
import { silentLogger } from '#core/program/log.ts';
import { LeaseElector, type LeaseElectorDeps } from '#kube/lease.ts';
import { ManualTimers } from '../support/manual-timers.ts';
import { MemoryLease } from './memory-lease.ts';

/** Lets every promise that can go on go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

describe('kube lease', () => {
  let timers: ManualTimers;
  let api: MemoryLease;
  let heard: string[];

  beforeEach(() => {
    timers = new ManualTimers(Date.UTC(2026, 0, 1));
    api = new MemoryLease();
    heard = [];
  });

  function elector(identity: string, more: Partial<LeaseElectorDeps> = {}): LeaseElector {
    const one = new LeaseElector({
      client: api.client(identity),
      namespace: 'weft-system',
      name: 'weft',
      identity,
      timers,
      random: () => 0.5,
      log: silentLogger,
      onChange: (leading) => heard.push(`${identity} ${leading}`),
      monotonic: () => timers.now(),
      ...more,
    });
    one.start();
    return one;
  }

  async function pass(ms: number, each = (): void => {}): Promise<void> {
    for (let gone = 0; gone < ms; gone += 500) {
      timers.advance(500);
      await settle();
      each();
    }
  }

  it('of three racing for a Lease that does not exist one leads, and goes on leading', async () => {
    const all = ['a', 'b', 'c'].map((name) => elector(name));
    await settle();
    await pass(120_000, () => {
      expect(all.filter(({ leading }) => leading).length).to.be.at.most(1);
    });
    expect(all.filter(({ leading }) => leading)).to.have.length(1);
    expect(heard).to.have.length(1);
    expect(api.spec).to.include({ leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(api.spec!.renewTime).to.match(/^2026-01-01T00:0[12]:\d\d\.\d{6}Z$/);
  });

  it('a replica that dies is followed by one other, after the whole duration', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => elector(name));
    await settle();
    await pass(30_000);
    const dead = [a, b, c].find(({ leading }) => leading)!;
    api.unreachable.add(api.spec!.holderIdentity as string);
    const atMs = timers.now();
    let secondMs = 0;
    await pass(40_000, () => {
      if (secondMs === 0 && heard.length === 3) secondMs = timers.now();
      expect([a, b, c].filter(({ leading }) => leading).length).to.be.at.most(1);
    });
    expect(dead.leading).to.equal(false);
    expect(heard[1]).to.match(/false$/);
    expect(heard[2]).to.match(/true$/);
    expect(secondMs - atMs).to.be.within(10_000, 21_000);
    expect(api.spec!.leaseTransitions).to.equal(1);
  });

  it('a frozen leader knows on resume, before any timer fires; its late renewal is refused', async () => {
    const own = new ManualTimers(timers.now());
    const a = elector('a', { timers: own, monotonic: () => own.now() });
    await settle();
    expect(a.leading).to.equal(true);
    const b = elector('b');
    await settle();
    // The process of a stands still for 30 s; that of b does not.
    await pass(30_000);
    expect(b.leading).to.equal(true);
    own.sleep(30_000);
    const atResume = a.leading;
    await settle();
    own.advance(5_000);
    await settle();
    expect(atResume).to.equal(false);
    expect(a.leading).to.equal(false);
    expect(heard).to.deep.equal(['a true', 'b true', 'a false']);
    expect(api.spec!.holderIdentity).to.equal('b');
  });

  it('a renewal that was answered too late counts from when it was sent', async () => {
    const a = elector('a');
    await settle();
    api.holdBack = true;
    timers.advance(5_000);
    await settle();
    expect(a.leading).to.equal(true);
    timers.sleep(20_000);
    api.holdBack = false;
    api.unreachable.add('a');
    api.letGo();
    await settle();
    expect(a.leading).to.equal(false);
    expect(heard).to.deep.equal(['a true', 'a false']);
    // It looks again, and may lead once more: no other took it.
    api.unreachable.clear();
    await pass(2_000);
    expect(a.leading).to.equal(true);
    expect(heard).to.deep.equal(['a true', 'a false', 'a true']);
  });

  it('stands down before another could lead while the API server is away, and leads again when it is back', async () => {
    const a = elector('a');
    await settle();
    api.unreachable.add('a');
    await pass(9_500);
    expect(a.leading).to.equal(true);
    await pass(500);
    expect(a.leading).to.equal(false);
    expect(heard).to.deep.equal(['a true', 'a false']);
    await pass(10_000);
    api.unreachable.clear();
    await pass(2_000);
    expect(a.leading).to.equal(true);
  });

  it('a clock that is set back does not make a lease longer', async () => {
    let setBackMs = 0;
    const skewed = { now: () => timers.now() - setBackMs, after: (ms: number, then: () => void) => timers.after(ms, then) };
    const a = elector('a', { timers: skewed });
    await settle();
    api.unreachable.add('a');
    setBackMs = 3600_000;
    timers.sleep(10_000);
    expect(a.leading).to.equal(false);
  });

  it('a clock that is set forward does not take the lease of another', async () => {
    const a = elector('a');
    await settle();
    let setForwardMs = 0;
    const skewed = { now: () => timers.now() + setForwardMs, after: (ms: number, then: () => void) => timers.after(ms, then) };
    const b = elector('b', { timers: skewed });
    await settle();
    await pass(6_000);
    setForwardMs = 3600_000;
    await pass(60_000, () => expect([a.leading, b.leading]).to.deep.equal([true, false]));
    expect(heard).to.deep.equal(['a true']);
  });

  it('stands down although its timers fire a little early', async () => {
    const early = { now: () => timers.now() - 0.4, after: (ms: number, then: () => void) => timers.after(Math.max(1, ms - 2), then) };
    const a = elector('a', { timers: early });
    await settle();
    api.unreachable.add('a');
    await pass(10_000);
    expect(heard).to.deep.equal(['a true', 'a false']);
    expect(a.leading).to.equal(false);
  });

  it('gives the lease back when it stops; the next need not wait', async () => {
    const a = elector('a');
    await settle();
    const b = elector('b');
    await settle();
    await a.stop();
    expect(a.leading).to.equal(false);
    expect(api.spec!.holderIdentity).to.equal('');
    await pass(3_000);
    expect(b.leading).to.equal(true);
    expect(heard).to.deep.equal(['a true', 'a false', 'b true']);
    await pass(30_000);
    expect(api.spec!.holderIdentity).to.equal('b');
  });

  it('a replica that starts again under its old name goes on with its lease', async () => {
    api.unreachable.clear();
    const a = elector('a');
    await settle();
    expect(a.leading).to.equal(true);
    api.unreachable.add('a');
    await a.stop();
    api.unreachable.clear();
    const again = elector('a');
    await settle();
    expect(again.leading).to.equal(true);
  });

  it('a Lease that a person edits or deletes does not make two leaders', async () => {
    const all = ['a', 'b'].map((name) => elector(name));
    await settle();
    await pass(6_000);
    api.remove();
    const atMostOne = (): void => {
      expect(all.filter(({ leading }) => leading).length).to.be.at.most(1);
    };
    atMostOne();
    await pass(40_000, atMostOne);
    api.edit({ holderIdentity: 'stranger', leaseDurationSeconds: 15 });
    await pass(9_000);
    expect(all.some(({ leading }) => leading)).to.equal(false);
    await pass(40_000, atMostOne);
    expect(all.filter(({ leading }) => leading)).to.have.length(1);
    api.edit('nonsense' as never);
    await pass(40_000, atMostOne);
    expect(all.filter(({ leading }) => leading)).to.have.length(1);
  });
});
