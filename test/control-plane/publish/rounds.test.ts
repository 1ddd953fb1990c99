// When changes go out: at once, in rounds, and never stuck.
import { expect } from 'chai';
import fc from 'fast-check';
import { Rounds } from '#control-plane/publish/rounds.ts';
import { HandClock } from './shop.ts';

describe('control-plane/publish: rounds', () => {
  it('gathers what comes in one turn', () => {
    const clock = new HandClock();
    const rounds: string[][] = [];
    const under = new Rounds(clock, (keys) => rounds.push([...keys]));
    under.add(['a']);
    under.add(['b', 'a']);
    under.add([]);
    clock.pass(0);
    expect(rounds).to.deep.equal([['a', 'b']]);
    clock.pass(10_000);
    expect(rounds).to.have.length(1);
  });

  it('loses nothing and keeps to its measure, whatever comes when', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: -5000, max: 5000 })), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (changes) => {
        const clock = new HandClock();
        // The wall clock jumps now and then; the timers do not.
        let jumpMs = 0;
        const times: number[] = [];
        const seen: string[] = [];
        const timers = { now: () => clock.now() + jumpMs, after: clock.after.bind(clock) };
        const under = new Rounds(timers, (keys) => {
          times.push(clock.now());
          seen.push(...keys);
        });
        changes.forEach(([gapMs], index) => {
          under.add([String(index)]);
          clock.pass(gapMs);
        });
        const steady = times.every((time, index) => index < 3 || time - times[index - 3]! >= 89);
        changes.forEach(([gapMs, jump], index) => {
          jumpMs += jump;
          under.add([`j${index}`]);
          clock.pass(gapMs);
        });
        clock.pass(1000);
        expect(steady).to.equal(true);
        expect(new Set(seen).size).to.equal(2 * changes.length);
      }),
    );
  });

  it('does nothing after it was stopped', () => {
    const clock = new HandClock();
    let runs = 0;
    const under = new Rounds(clock, () => runs++);
    under.add(['a']);
    under.stop();
    under.add(['b']);
    clock.pass(1000);
    expect(runs).to.equal(0);
  });
});
