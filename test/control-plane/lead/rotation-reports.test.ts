// What replicas say to each other while the authority is replaced, and what that makes a rotation wait for.
import { expect } from 'chai';
import { AWAY_WITHIN_MS, type RotationFacts, waitsForLeaves, waitsForTrust } from '#control-plane/lead/rotation-progress.ts';
import { RotationReports } from '#control-plane/lead/rotation-reports.ts';
import type { TrustProgress } from '#control-plane/publish/standings.ts';
import { AUTHORITY_REPORTS } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const MAP = { kind: KINDS.ConfigMap, namespace: 'weft-system', name: AUTHORITY_REPORTS };
const HASTY: Timers = { now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 3), then) };
const FINE: TrustProgress = { version: 'v2', connected: 3, behind: 0, behindPods: [], old: 0, oldPods: [] };

describe('control-plane/lead: rotation-reports', () => {
  let api: FakeApi;
  let all: RotationReports[];

  beforeEach(() => {
    api = new FakeApi();
    all = [];
  });

  afterEach(() => {
    for (const one of all) one.stop();
  });

  function replica(name: string, report: () => TrustProgress | null): RotationReports {
    const around = { client: api, namespace: 'weft-system', timers: HASTY, random: () => 0.5, log: silentLogger };
    const made = new RotationReports({ ...around, replica: name, report });
    all.push(made);
    made.start();
    return made;
  }

  const data = () => api.get(MAP)?.data as Record<string, string> | undefined;

  it('come to every replica, each with its own key, and change with what there is to say', async () => {
    const said: Record<string, TrustProgress> = { a: FINE, b: { ...FINE, behind: 1, behindPods: ['shop/slow'] } };
    const [a, b] = [replica('a', () => said.a!), replica('b', () => said.b!)];
    await until(() => a.all().size === 2 && b.all().size === 2, 'both know of both');
    expect([a.problem, b.problem], 'both have made the ConfigMap, one of them was second').to.deep.equal(['', '']);
    expect(a.all().get('b')).to.deep.equal(said.b);
    said.b = FINE;
    await until(() => a.all().get('b')?.behind === 0, 'it has changed');
  });

  it('are written at no other time, and removed when it is over', async () => {
    let report: TrustProgress | null = null;
    const a = replica('a', () => report);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(api.writes).to.deep.equal([]);
    report = FINE;
    await until(() => data()?.a !== undefined, 'it is written');
    const { length } = api.writes;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(api.writes, 'the same again is not').to.have.length(length);
    report = null;
    await until(() => a.all().size === 1, 'the watch has it');
    await a.clear();
    expect(data()).to.equal(undefined);
    await a.clear();
    expect(api.writes.filter(({ body }) => (body?.data as unknown) === null)).to.have.length(1);
  });

  it('name the right that is missing, and pass over what is none of theirs', async () => {
    let denied = true;
    api.intercept = ({ method }) => {
      if (denied && method !== 'GET') throw new KubeError('403 patch is forbidden', 403, 'Forbidden');
      return undefined;
    };
    const a = replica('a', () => FINE);
    await until(() => a.problem.includes('403 patch is forbidden'), 'it is named');
    denied = false;
    await until(() => a.problem === '' && data()?.a !== undefined, 'it is written');
    api.put(MAP, { data: { ...data(), odd: '{', odder: '{"version":1}', oddest: 'null' } });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...a.all().keys()]).to.deep.equal(['a']);
  });
});

describe('control-plane/lead: rotation-progress', () => {
  const facts = (more: Partial<RotationFacts> = {}): RotationFacts => ({
    replicas: ['a', 'b'],
    reports: new Map([
      ['a', FINE],
      ['b', { ...FINE, connected: 2 }],
    ]),
    version: 'v2',
    meshedPods: 5,
    namespaces: [],
    ...more,
  });
  const withB = (b: Partial<TrustProgress>): RotationFacts =>
    facts({ reports: new Map([...facts().reports, ['b', { ...FINE, connected: 2, ...b }]]) });

  it('waits for nothing where all say that all is well', () => {
    expect([waitsForTrust(facts(), 0), waitsForLeaves(facts())]).to.deep.equal([[], []]);
  });

  it('waits for replicas without an end, whether they are mute or say something of an older bundle', () => {
    for (const mute of [facts({ reports: new Map([['a', FINE]]) }), withB({ version: 'v1' })])
      for (const forMs of [0, AWAY_WITHIN_MS])
        expect(waitsForTrust(mute, forMs)[0]).to.equal('1 replica of the control plane to send the roots: b');
    expect(waitsForLeaves(withB({ version: 'v1' }))[0]).to.contain('send the roots: b');
  });

  it('waits for connected sidecars without an end, and names some', () => {
    const behind = withB({ behind: 5, behindPods: ['s/1', 's/2', 's/3'] });
    expect(waitsForTrust(behind, AWAY_WITHIN_MS)).to.deep.equal(['5 sidecars of b to trust the roots: s/1, s/2, s/3 and 2 more']);
    const old = withB({ old: 1, oldPods: ['s/1'] });
    expect(waitsForTrust(old, 0)).to.deep.equal([]);
    expect(waitsForLeaves(old)[0]).to.contain('1 sidecar of b').and.contain('s/1');
  });

  it('waits for pods that are away and for namespaces for a time, and for leaves of pods that are away without an end', () => {
    const away = facts({ meshedPods: 7, namespaces: ['n1', 'n2', 'n3', 'n4'] });
    expect(waitsForTrust(away, AWAY_WITHIN_MS - 1)).to.deep.equal([
      'the roots in the ConfigMap of 4 namespaces: n1, n2, n3 and 1 more',
      '2 pods with a sidecar that are connected to no replica',
    ]);
    expect(waitsForTrust(away, AWAY_WITHIN_MS)).to.deep.equal([]);
    expect(waitsForLeaves(away)).to.deep.equal(['2 pods with a sidecar that are connected to no replica']);
  });
});
