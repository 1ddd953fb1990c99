// The sum over replicas: what is added, what counts as not applied, and of whom nothing is known.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import type { FollowEvents } from '#control-plane/replicas/follow.ts';
import { ANSWER_WITHIN_MS, MeshCounts, UNKNOWN_AFTER_MS } from '#control-plane/replicas/mesh-counts.ts';
import { MOST_REPLICAS, type OtherReplica } from '#control-plane/replicas/roster.ts';
import { RefusalSchema, ReplicaReportSchema, ServiceCountSchema } from '#core/contract/gen/weft/v1/replicas_pb.ts';
import { silentLogger } from '#core/program/log.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

interface Asked {
  readonly replica: OtherReplica;
  readonly events: FollowEvents;
  closed: boolean;
}

const replica = (name: string, more: Partial<OtherReplica> = {}): OtherReplica => ({
  name,
  address: `10.0.0.${name.charCodeAt(0)}`,
  port: 15012,
  serving: true,
  ...more,
});

describe('control-plane/replicas: mesh-counts', () => {
  let timers: ManualTimers;
  let others: OtherReplica[];
  let asked: Asked[];
  let changes: number;
  let counts: MeshCounts;

  beforeEach(() => {
    timers = new ManualTimers(1_000_000);
    others = [replica('b')];
    asked = [];
    changes = 0;
    counts = new MeshCounts({
      others: () => others,
      follow: (one, events) => {
        const ask: Asked = { replica: one, events, closed: false };
        asked.push(ask);
        return () => {
          ask.closed = true;
        };
      },
      onChange: () => changes++,
      timers,
      random: () => 0.5,
      log: silentLogger,
    });
  });

  const own = { parent: 'shop/payment', version: 'v2', applied: { want: 2, applied: 2, rejected: [] } };
  const total = () => counts.total(own);
  const says = () => {
    const { want, applied, rejected, unknown } = total();
    return `${applied}/${want} ${rejected} ${unknown}`.trim();
  };
  const count = (
    version: string,
    want: number,
    applied: number,
    refusals: { pod: string; reason: string }[] = [],
    service = 'shop/payment',
  ) =>
    create(ServiceCountSchema, {
      service,
      version,
      want,
      applied,
      rejected: refusals.length,
      refusals: refusals.map((one) => create(RefusalSchema, one)),
    });
  const report = (of: Asked, list: ReturnType<typeof count>[], complete = true, name = of.replica.name) =>
    of.events.report(create(ReplicaReportSchema, { replica: name, counts: list, complete }));
  const last = () => asked.at(-1)!;
  const lose = (reason: string, refused = false) => last().events.ended({ reason, refused });

  it('asks nobody unless it leads, and nobody any more when it does no longer', () => {
    counts.review();
    expect(asked).to.have.length(0);
    expect(says()).to.equal('2/2 0');
    counts.lead(true);
    expect(asked.map(({ replica: { name } }) => name)).to.deep.equal(['b']);
    counts.lead(false);
    expect(last().closed).to.equal(true);
    expect(timers.nextInMs()).to.equal(null);
    expect(says()).to.equal('2/2 0');
  });

  it('knows nothing of a replica until it has said everything', () => {
    counts.lead(true);
    expect(says()).to.equal('2/2 0 b');
    report(last(), [count('v2', 3, 3)], false);
    expect(says()).to.equal('2/2 0 b');
    report(last(), [], true);
    expect(says()).to.equal('5/5 0');
    expect(counts.unknownReplicas).to.equal(0);
  });

  it('adds up what the others say, as it changes, and forgets what nobody wants any more', () => {
    counts.lead(true);
    report(last(), [count('v2', 3, 1, [{ pod: 'shop/x', reason: 'bad' }])]);
    expect(says()).to.equal('3/5 1');
    expect(total().refusals).to.deep.equal([{ pod: 'shop/x', reason: 'bad' }]);
    const before = changes;
    report(last(), [count('v2', 3, 3)]);
    expect(says()).to.equal('5/5 0');
    expect(changes).to.be.greaterThan(before);
    report(last(), [count('', 0, 0)]);
    expect(says()).to.equal('2/2 0');
  });

  it('takes counts of another version for sidecars that have not got so far', () => {
    counts.lead(true);
    report(last(), [count('v1', 3, 3)]);
    expect(says()).to.equal('2/5 0');
    report(last(), [count('v1', 3, 0, [{ pod: 'shop/x', reason: 'of the old one' }])]);
    expect(says()).to.equal('2/5 0');
    report(last(), [count('v2', 3, 3)]);
    expect(says()).to.equal('5/5 0');
  });

  it('knows nothing of a replica whose stream has ended, and asks again with growing pauses', () => {
    counts.lead(true);
    report(last(), [count('v2', 3, 3)]);
    lose('connection dropped');
    expect(says()).to.equal('2/2 0 b');
    expect(asked).to.have.length(1);
    timers.advance(300);
    expect(asked).to.have.length(2);
    report(last(), [count('v2', 4, 4)]);
    expect(says()).to.equal('6/6 0');
    const pauses: number[] = [];
    for (let i = 0; i < 10; i++) {
      lose('No connection established. Last error: connect ECONNREFUSED', true);
      pauses.push(timers.nextInMs()!);
      timers.advance(timers.nextInMs()!);
    }
    expect(asked).to.have.length(12);
    expect(pauses.slice(0, 3)).to.deep.equal([250, 500, 1000]);
    expect(pauses.at(-1)).to.equal(5000);
    expect(says()).to.equal('2/2 0 b');
  });

  it('ends a stream that brings no answer in time', () => {
    counts.lead(true);
    const first = last();
    timers.advance(ANSWER_WITHIN_MS);
    expect(first.closed).to.equal(true);
    timers.advance(1000);
    expect(asked).to.have.length(2);
    // What comes of the old one is not taken for an answer of the new one: it is closed.
    report(last(), []);
    expect(says()).to.equal('2/2 0');
    timers.advance(ANSWER_WITHIN_MS * 2);
    expect(last().closed).to.equal(false);
  });

  it('names a replica of an older version, which does not know the question', () => {
    counts.lead(true);
    lose('The server does not implement the method /weft.v1.Replicas/Follow');
    expect(says()).to.equal('2/2 0 b');
    expect(counts.problem).to.equal('');
    timers.advance(UNKNOWN_AFTER_MS);
    lose('The server does not implement the method /weft.v1.Replicas/Follow');
    expect(counts.problem).to.equal(
      'what the sidecars of replica b run is not known: The server does not implement the method /weft.v1.Replicas/Follow',
    );
  });

  it('knows that a replica has no sidecars that is not ready and does not listen, until it is', () => {
    others = [replica('b', { serving: false })];
    counts.lead(true);
    expect(says()).to.equal('2/2 0 b');
    lose('connect ECONNREFUSED', true);
    expect(says()).to.equal('2/2 0');
    // Not ready and silent is another thing: it may have had sidecars.
    timers.advance(60_000);
    lose('no answer');
    expect(says()).to.equal('2/2 0 b');
    lose('connect ECONNREFUSED', true);
    others = [replica('b')];
    const before = asked.length;
    counts.review();
    expect(says()).to.equal('2/2 0 b');
    expect(asked.length).to.be.greaterThan(before);
    report(last(), []);
    expect(says()).to.equal('2/2 0');
  });

  it('forgets a replica that is gone, and asks one that has come, or that has another address', () => {
    counts.lead(true);
    report(last(), [count('v2', 3, 3)]);
    const [b] = asked;
    others = [replica('b', { address: '10.9.9.9' }), replica('c')];
    counts.review();
    expect(b!.closed).to.equal(true);
    expect(asked.map(({ replica: { name, address } }) => `${name} ${address}`).slice(1)).to.deep.equal(['b 10.9.9.9', 'c 10.0.0.99']);
    expect(says()).to.equal('2/2 0 b, c');
    others = [];
    counts.review();
    expect(says()).to.equal('2/2 0');
    expect(timers.nextInMs()).to.equal(null);
  });

  it('takes no replica for another', () => {
    counts.lead(true);
    report(last(), [count('v2', 3, 3)], true, 'c');
    expect(last().closed).to.equal(true);
    expect(says()).to.equal('2/2 0 b');
  });

  it('asks so many and no more, and does not claim to know the rest', () => {
    others = Array.from({ length: MOST_REPLICAS + 1 }, (_, i) => replica(String.fromCharCode(97 + i)));
    counts.lead(true);
    for (const ask of asked.slice()) report(ask, []);
    expect(asked).to.have.length(MOST_REPLICAS);
    expect(says()).to.equal('2/2 0 others');
    expect(counts.problem).to.match(/more than 16 other replicas/);
  });
});
