// Bringing pods from one plan to the next: order of starts and stops, with pods that are ready when the test says so.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { Fleet, MOST_STARTING } from '#local/mesh/fleet.ts';
import { planMesh } from '#local/plan/plan.ts';
import type { PlannedPod } from '#local/plan/pods.ts';
import type { RunningPod } from '#local/process/pod.ts';
import { deployment, manifest, settings } from '../plan/shop.ts';

class FakePod {
  isReady = false;
  readonly plan: PlannedPod;
  private readonly onReady: (ready: boolean) => void;
  private readonly story: string[];

  constructor(plan: PlannedPod, onReady: (ready: boolean) => void, story: string[]) {
    this.plan = plan;
    this.onReady = onReady;
    this.story = story;
  }

  start(): void {
    this.story.push(`start ${this.plan.workload}`);
  }

  become(ready: boolean): void {
    if (this.isReady === ready) return;
    this.isReady = ready;
    this.onReady(ready);
  }

  async stop(atOnce: boolean, beforeSidecar: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.story.push(`stop ${this.plan.workload}${atOnce ? ' at once' : ''}`);
    this.become(false);
    await beforeSidecar();
  }
}

function fleet() {
  const story: string[] = [];
  const made: FakePod[] = [];
  const counts = { changes: 0, asked: 0, stopped: 0 };
  const subject = new Fleet({
    make: (plan, onReady) => {
      const pod = new FakePod(plan, onReady, story);
      made.push(pod);
      return pod as unknown as RunningPod;
    },
    onChange: () => void counts.changes++,
    beforeSidecarStops: async () => void counts.asked++,
    onStopped: () => void counts.stopped++,
  });
  return { subject, story, made, counts };
}

const pods = (...input: Parameters<typeof planMesh>[0]) => planMesh(input, settings).pods;
const version = (value: string, replicas = 2) => deployment('a', { app: 'a' }, { env: [{ name: 'V', value }] }, replicas);

describe('local/mesh: fleet', () => {
  it('starts a few pods at a time', async () => {
    const { subject, made } = fleet();
    subject.apply(pods(deployment('a', { app: 'a' }, {}, 6)));
    expect(made).to.have.length(MOST_STARTING);
    made[0].become(true);
    expect(made).to.have.length(MOST_STARTING + 1);
    expect(subject.ready()).to.deep.equal(new Set([made[0].plan.key]));
    await subject.close();
  });

  it('starts those that are called before those that only call', async () => {
    const { subject, story, made } = fleet();
    subject.apply(pods(deployment('caller', { app: 'c' }, { ports: [] }), deployment('called', { app: 'a' })));
    expect(story).to.deep.equal(['start called']);
    made[0].become(true);
    expect(story).to.deep.equal(['start called', 'start caller']);
    await subject.close();
  });

  it('replaces an old revision one by one, only by pods that are ready', async () => {
    const { subject, story, made } = fleet();
    subject.apply(pods(version('1')));
    for (const pod of made) pod.become(true);
    story.length = 0;
    subject.apply(pods(version('2')));
    expect(story).to.deep.equal(['start a', 'start a']);
    made[2].become(true);
    expect(story.slice(2)).to.deep.equal(['stop a']);
    expect(made[1].isReady, 'the newer of the old goes first').to.equal(false);
    expect(made[0].isReady).to.equal(true);
    made[3].become(true);
    await sleep(0);
    expect(subject.pods().map(({ plan }) => plan.key)).to.deep.equal([made[2].plan.key, made[3].plan.key]);
    await subject.close();
  });

  it('keeps what works when a new revision does not start', async () => {
    const { subject, story, made } = fleet();
    subject.apply(pods(version('good')));
    for (const pod of made) pod.become(true);
    subject.apply(pods(version('bad')));
    await sleep(0);
    expect(story.filter((line) => line.startsWith('stop'))).to.deep.equal([]);
    // And it goes back without a new start.
    subject.apply(pods(version('good')));
    await sleep(0);
    expect(subject.current().map(({ plan }) => plan.key)).to.have.members(made.slice(0, 2).map(({ plan }) => plan.key));
    await subject.close();
  });

  it('does not start what is refused, and keeps what that was to replace', async () => {
    const { subject, story, made } = fleet();
    subject.apply(pods(version('good')));
    for (const pod of made) pod.become(true);
    const bad = pods(version('bad'));
    subject.apply(bad, new Set(bad.map(({ key }) => key)));
    await sleep(0);
    expect(story).to.deep.equal(['start a', 'start a']);
    await subject.close();
  });

  it('stops surplus replicas and deleted Deployments at once, telling callers first', async () => {
    const { subject, story, made, counts } = fleet();
    subject.apply(pods(version('1', 3)));
    for (const pod of made) pod.become(true);
    subject.apply(pods(version('1', 1)));
    expect(story.filter((line) => line === 'stop a')).to.have.length(2);
    subject.apply([]);
    await sleep(0);
    expect(subject.pods()).to.deep.equal([]);
    expect(counts).to.include({ asked: 3, stopped: 3 });
  });

  it('stops a changed bare Pod before it starts it again', async () => {
    const { subject, story, made } = fleet();
    const pod = (command: string) => pods(manifest('Pod', 'tool', { containers: [{ name: 'c', command: [command] }] }));
    subject.apply(pod('a'));
    made[0].become(true);
    subject.apply(pod('b'));
    expect(story).to.deep.equal(['start tool', 'stop tool']);
    await sleep(0);
    expect(story).to.deep.equal(['start tool', 'stop tool', 'start tool']);
    expect(made[1].plan.containers[0].argv).to.deep.equal(['b']);
    await subject.close();
  });

  it('closes everything without the grace for callers, and starts nothing more', async () => {
    const { subject, story, made } = fleet();
    subject.apply(pods(version('1')));
    made[0].become(true);
    await subject.close();
    subject.apply(pods(version('2')));
    expect(story).to.deep.equal(['start a', 'start a', 'stop a at once', 'stop a at once']);
    expect(subject.pods()).to.deep.equal([]);
  });
});
