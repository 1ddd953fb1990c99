// Long work leaves room for other work.
import { expect } from 'chai';
import { SLICE_MS, Turns, type Work } from '#control-plane/publish/turns.ts';
import { HandClock } from './shop.ts';

describe('work in turns', () => {
  let clock: HandClock;
  let elapsedMs: number;
  let turns: Turns;
  let done: string[];

  beforeEach(() => {
    clock = new HandClock();
    elapsedMs = 0;
    turns = new Turns(clock, () => elapsedMs);
    done = [];
  });

  /** Work of so many steps, each of which takes a fourth of a slice. */
  function* work(name: string, steps: number): Work {
    for (let i = 1; i <= steps; i++) {
      done.push(`${name}${i}`);
      elapsedMs += SLICE_MS / 4;
      yield;
    }
  }

  it('begins at once, and goes on after a pause when a slice is over', () => {
    turns.add(work('a', 6));
    expect(done).to.deep.equal(['a1', 'a2', 'a3', 'a4']);
    clock.pass(1);
    expect(done).to.deep.equal(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
  });

  it('waits for other work, with which it shares the time', () => {
    turns.add(work('a', 9));
    turns.add(work('b', 5));
    turns.add(work('c', 1));
    expect(done.at(-1), 'a rests').to.equal('a4');
    clock.pass(1);
    const slices = [done.slice(0, 4), done.slice(4, 8), done.slice(8, 12), done.slice(12)];
    expect(slices.map((slice) => slice.join(' '))).to.deep.equal(['a1 a2 a3 a4', 'b1 b2 b3 b4', 'c1 a5 a6 a7', 'b5 a8 a9']);
  });

  it('may be added by work, and does not go on when all is stopped', () => {
    turns.add(
      (function* (): Work {
        turns.add(work('later', 9));
        done.push('first');
        yield;
      })(),
    );
    expect(done.slice(0, 2)).to.deep.equal(['first', 'later1']);
    turns.stop();
    turns.add(work('never', 1));
    clock.pass(100);
    expect(done).to.not.include('never1').and.not.include('later9');
  });
});
