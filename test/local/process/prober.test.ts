// When a container of `weft run` is ready, by the answers to its probe.
import { expect } from 'chai';
import { FAILING_AFTER_MS, Prober, type ProbeTimes } from '#local/process/prober.ts';
import type { ProbeOutcome } from '#sidecar/pod/probe/run.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

describe('local/process: prober', () => {
  let timers: ManualTimers;
  let answer: boolean;
  let asked: number[];
  let changes: boolean[];
  let failings: string[];

  beforeEach(() => {
    timers = new ManualTimers(0);
    answer = true;
    asked = [];
    changes = [];
    failings = [];
  });

  function proberWith(times: Partial<ProbeTimes> = {}, once = false): Prober {
    const prober: Prober = new Prober({
      times: { initialDelayMs: 0, periodMs: 10_000, successThreshold: 1, failureThreshold: 3, ...times },
      eagerMs: 100,
      once,
      ask: () => {
        asked.push(timers.now());
        return Promise.resolve<ProbeOutcome>({ ok: answer, detail: answer ? 'fine' : 'HTTP 503', status: 0 });
      },
      onChange: () => changes.push(prober.ready),
      onFailing: (detail) => failings.push(detail),
      timers,
    });
    return prober;
  }

  /** Lets time pass, question by question. */
  async function pass(ms: number): Promise<void> {
    const endMs = timers.now() + ms;
    for (let next = timers.nextInMs(); next !== null && timers.now() + next <= endMs; next = timers.nextInMs()) {
      timers.advance(next);
      await new Promise(setImmediate);
    }
    timers.advance(endMs - timers.now());
  }

  it('asks after the initial delay, then once a period', async () => {
    const prober = proberWith({ initialDelayMs: 3000 });
    prober.started();
    await pass(2999);
    expect(asked).to.deep.equal([]);
    await pass(20_001);
    expect(asked).to.deep.equal([3000, 13_000, 23_000]);
    expect(changes).to.deep.equal([true]);
  });

  it('asks sooner than the period while the container is not ready', async () => {
    answer = false;
    const prober = proberWith();
    prober.started();
    await pass(250);
    expect(asked).to.deep.equal([0, 100, 200]);
    answer = true;
    await pass(100);
    expect(prober.ready).to.equal(true);
  });

  it('counts so many successes in a row, a period apart', async () => {
    const prober = proberWith({ successThreshold: 3, periodMs: 1000 });
    prober.started();
    await pass(1999);
    expect(prober.ready).to.equal(false);
    await pass(1);
    expect(prober.ready).to.equal(true);
  });

  it('is ready no more after so many failures in a row, and says why once', async () => {
    const prober = proberWith({ periodMs: 1000, failureThreshold: 2 });
    prober.started();
    await pass(0);
    answer = false;
    await pass(1000);
    answer = true;
    await pass(1000);
    answer = false;
    await pass(1999);
    expect(prober.ready).to.equal(true);
    await pass(1000);
    expect(changes).to.deep.equal([true, false]);
    await pass(60_000);
    expect(failings).to.deep.equal(['HTTP 503']);
  });

  it('says why a container does not become ready, once, after a while', async () => {
    answer = false;
    const prober = proberWith({ initialDelayMs: 2000 });
    prober.started();
    await pass(2000 + FAILING_AFTER_MS - 1);
    expect(failings).to.deep.equal([]);
    await pass(10_000);
    expect(failings).to.deep.equal(['HTTP 503']);
  });

  it('begins anew with each process', async () => {
    const prober = proberWith({ initialDelayMs: 1000 });
    prober.started();
    await pass(1000);
    expect(prober.ready).to.equal(true);
    prober.stopped();
    expect(prober.ready).to.equal(false);
    expect(timers.nextInMs()).to.equal(null);
    prober.started();
    await pass(999);
    expect(prober.ready).to.equal(false);
    await pass(1);
    expect(prober.ready).to.equal(true);
  });

  it('takes no answer to a question about a process that has ended', async () => {
    const prober = proberWith();
    prober.started();
    timers.advance(0);
    prober.stopped();
    await new Promise(setImmediate);
    expect(prober.ready).to.equal(false);
    expect(timers.nextInMs()).to.equal(null);
  });

  it('asks no more once it is ready where there is no probe', async () => {
    const prober = proberWith({}, true);
    prober.started();
    await pass(60_000);
    expect(asked).to.deep.equal([0]);
    expect(prober.ready).to.equal(true);
  });
});
