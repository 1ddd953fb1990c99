// The loop of the leader's writers: when it looks, and what it remembers of a write.
import { expect } from 'chai';
import { LeaderTask, type Write } from '#control-plane/lead/leader-task.ts';
import { KubeError } from '#kube/api.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

class Task extends LeaderTask {
  looks = 0;
  /** What a look does. */
  onLook: () => void | Promise<void> = () => {};

  touch(): void {
    this.lookIn(100);
  }

  again(atMs: number): void {
    this.lookAt(atMs);
  }

  pause(untilMs: number): void {
    this.pauseUntil(untilMs);
  }

  now(): void {
    this.lookNow();
  }

  put(key: string, sent: Promise<Write | null>): void {
    this.write(
      key,
      () => sent,
      (error, before) => ({ is: 'failed', failures: (before?.failures ?? 0) + 1, untilMs: 0, error }),
    );
  }

  remembered(key: string): Write | undefined {
    return this.writes.get(key);
  }

  forget(): void {
    this.retain(() => false);
  }

  report(problem: string): boolean {
    return this.note(problem);
  }

  protected look(): void | Promise<void> {
    this.looks++;
    return this.onLook();
  }
}

describe('control-plane/lead: leader-task', () => {
  let timers: ManualTimers;
  let task: Task;

  beforeEach(() => {
    timers = new ManualTimers(0);
    task = new Task(timers);
  });

  const settle = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };

  it('looks while it leads and never otherwise', () => {
    task.touch();
    timers.advance(1000);
    expect(task.looks).to.equal(0);
    task.lead(true);
    timers.advance(100);
    expect(task.looks).to.equal(1);
    task.touch();
    task.lead(false);
    timers.advance(1000);
    task.lead(true);
    task.stop();
    task.lead(true);
    timers.advance(1000);
    expect(task.looks).to.equal(1);
  });

  it('looks at the earliest time that was asked for, but not during a pause', () => {
    task.lead(true);
    timers.advance(100);
    task.again(900);
    task.again(500);
    task.again(700);
    timers.advance(400);
    expect(task.looks).to.equal(2);
    timers.advance(1000);
    expect(task.looks).to.equal(2);
    task.pause(5000);
    task.touch();
    timers.advance(3000);
    expect(task.looks).to.equal(2);
    timers.advance(500);
    expect(task.looks).to.equal(3);
  });

  it('begins no look before the one under way has ended, also when it led anew meanwhile', async () => {
    let end = (): void => {};
    task.onLook = () => new Promise((resolve) => (end = resolve));
    task.lead(true);
    timers.advance(100);
    task.lead(false);
    task.lead(true);
    task.now();
    timers.advance(1000);
    expect(task.looks).to.equal(1);
    end();
    await settle();
    timers.advance(0);
    expect(task.looks).to.equal(2);
    task.lead(false);
    end();
    await settle();
    timers.advance(1000);
    expect(task.looks).to.equal(2);
  });

  it('remembers of each object how its write ended, and forgets none that is being written', async () => {
    task.lead(true);
    const refused = (): Promise<null> => Promise.reject(new KubeError('no', 403, 'Forbidden'));
    task.put('a', refused());
    task.forget();
    expect(task.remembered('a')).to.deep.equal({ is: 'writing', before: null });
    await settle();
    task.put('a', refused());
    await settle();
    expect(task.remembered('a')).to.include({ is: 'failed', failures: 2 });
    task.put('a', Promise.resolve({ is: 'written', version: '7', untilMs: 10 }));
    await settle();
    expect(task.remembered('a')).to.deep.equal({ is: 'written', version: '7', untilMs: 10 });
    task.forget();
    expect(task.remembered('a')).to.equal(undefined);
  });

  it('has a problem only while it leads, and says whether it is new', () => {
    expect(task.report('x')).to.equal(false);
    task.lead(true);
    expect([task.report('x'), task.report('x'), task.report('')]).to.deep.equal([true, false, false]);
    task.report('y');
    expect(task.problem).to.equal('y');
    task.lead(false);
    expect(task.problem).to.equal('');
  });
});
