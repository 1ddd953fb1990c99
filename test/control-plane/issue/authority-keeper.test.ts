// The authority of a replica: one for all, what is in use stays written, and what another replica writes is followed.
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { AuthorityKeeper } from '#control-plane/issue/authority-keeper.ts';
import { withNext } from '#control-plane/issue/authority-state.ts';
import { AUTHORITY_SECRET, AUTHORITY_STATE_SECRET } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_SECRET };
const STATE = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_STATE_SECRET };
const SETTINGS = { trustDomain: 'test.local', now: Date.now };
/** Retries do not wait in a test. */
const HASTY: Timers = { now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 5), then) };

describe('control-plane/issue: authority-keeper', () => {
  let api: FakeApi;
  let reported: string[];
  let keepers: AuthorityKeeper[];

  beforeEach(() => {
    api = new FakeApi();
    reported = [];
    keepers = [];
  });

  afterEach(() => {
    for (const keeper of keepers) keeper.stop();
  });

  function keeper(): AuthorityKeeper {
    const made = new AuthorityKeeper({
      client: api,
      namespace: 'weft-system',
      authority: SETTINGS,
      timers: HASTY,
      random: () => 0.5,
      log: silentLogger,
      onTrouble: (reason, message) => reported.push(`${reason}: ${message}`),
    });
    keepers.push(made);
    return made;
  }

  const data = () => api.get(SECRET)?.data as Record<string, string> | undefined;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const secretOf = ({ certificate, key }: { certificate: string; key: string }) => ({
    data: { 'tls.crt': base64(certificate), 'tls.key': base64(key) },
  });

  it('is made once, whichever of three replicas is first', async () => {
    const loaded = await Promise.all([keeper(), keeper(), keeper()].map((one) => one.load()));
    const roots = new Set(loaded.map((authority) => authority!.rootsPem()));
    expect(roots.size).to.equal(1);
    const kept = api.writes.map(({ body }) => (body!.metadata as { name: string }).name);
    expect(kept.filter((name) => name === AUTHORITY_SECRET)).to.have.length(3);
    expect(new Set(loaded.map((held) => held!.generation)).size).to.equal(1);
    expect(Buffer.from(data()!['tls.crt']!, 'base64').toString().trim()).to.equal([...roots][0]!.trim());
    expect(api.get(SECRET)).to.include({ type: 'kubernetes.io/tls' });
  });

  it('is taken as a person has put it, with more roots to trust', async () => {
    const [mine, old] = await Promise.all([Authority.generate(SETTINGS), Authority.generate(SETTINGS)]);
    api.put(SECRET, { data: { ...secretOf(mine).data, 'extra-roots.pem': base64(old.certificate) } });
    expect((await keeper().load())!.roots()).to.have.length(2);
    expect(api.writes.map(({ body }) => (body!.metadata as { name: string }).name)).to.deep.equal([AUTHORITY_STATE_SECRET]);
  });

  it('waits for an API server that is away', async () => {
    let away = 3;
    api.intercept = () => {
      if (away-- > 0) throw new KubeError('nothing listens there', 0, 'ECONNREFUSED');
      return undefined;
    };
    expect((await keeper().load())!.signing).to.be.instanceOf(Authority);
    expect(reported).to.deep.equal([]);
  });

  it('never replaces a Secret that cannot be used, and goes on when it is put right', async () => {
    const good = await Authority.generate(SETTINGS);
    const other = await Authority.generate(SETTINGS);
    api.put(SECRET, secretOf({ certificate: good.certificate, key: other.key }));
    const subject = keeper();
    const loading = subject.load();
    await until(() => reported.length > 0, 'the trouble is reported');
    expect(subject.problem).to.include('Secret weft-system/weft-authority cannot be used').and.include('another certificate');
    await until(() => api.asked.length > 5, 'it was tried again');
    expect(reported).to.have.length(1);
    expect(api.get(STATE)).to.equal(undefined);
    api.put(SECRET, secretOf(good));
    expect((await loading)!.rootsPem().trim()).to.equal(good.certificate.trim());
    expect(subject.problem).to.equal('');
  });

  it('waits for another where the one that is kept has expired, and says so', async () => {
    const longAgo = () => Date.now() - 48 * 3600_000;
    api.put(SECRET, secretOf(await Authority.generate({ trustDomain: 'test.local', now: longAgo, lifetimeMs: 24 * 3600_000 })));
    const subject = keeper();
    const loading = subject.load();
    await until(() => reported.length > 0, 'the trouble is reported');
    expect(reported[0]).to.match(/^AuthorityUnusable: .*cannot be used: its certificate expired at 20/);
    expect(api.writes).to.have.length(0);
    const good = await Authority.generate(SETTINGS);
    api.put(SECRET, secretOf(good));
    expect((await loading)!.rootsPem().trim()).to.equal(good.certificate.trim());
  });

  it('names the key that a Secret lacks', async () => {
    api.put(SECRET, { data: { 'tls.crt': base64('x') } });
    const subject = keeper();
    const loading = subject.load();
    await until(() => subject.problem.includes('tls.key'), 'the missing key is named');
    subject.stop();
    expect(await loading).to.equal(undefined);
  });

  const stateData = () => api.get(STATE)?.data as Record<string, string> | undefined;
  const watched = async () => {
    await until(() => api.asked.some(({ method, path }) => method === 'GET' && path.endsWith('/secrets')), 'it is watched');
    await new Promise((resolve) => setImmediate(resolve));
  };

  it('goes on with what is in use after a restart, whatever is wanted by then', async () => {
    const first = (await keeper().load())!;
    api.put(SECRET, secretOf(await Authority.generate(SETTINGS)));
    const second = (await keeper().load())!;
    expect(second.signing.id).to.equal(first.signing.id);
    expect(second.generation).to.equal(first.generation);
  });

  it('takes what is wanted where what was in use has ended, and waits where that is the same', async () => {
    const longAgo = () => Date.now() - 48 * 3600_000;
    const old = await Authority.generate({ trustDomain: 'test.local', now: longAgo, lifetimeMs: 24 * 3600_000 + 5000 });
    api.put(SECRET, secretOf(old));
    const then = new AuthorityKeeper({
      client: api,
      namespace: 'weft-system',
      authority: { trustDomain: 'test.local', now: longAgo },
      timers: HASTY,
      random: () => 0.5,
      log: silentLogger,
      onTrouble: () => {},
    });
    keepers.push(then);
    await then.load();
    then.stop();
    const subject = keeper();
    const loading = subject.load();
    await until(() => reported.length > 0, 'the trouble is reported');
    expect(reported[0]).to.match(/its certificate expired at 20/);
    const good = await Authority.generate(SETTINGS);
    api.put(SECRET, secretOf(good));
    expect((await loading)!.rootsPem().trim()).to.equal(good.certificate.trim());
  });

  it('makes no new root where what was in use cannot be read and nothing is wanted', async () => {
    api.put(STATE, { data: { 'tls.crt': base64('x'), 'tls.key': base64('y'), 'state.json': base64('{}') } });
    const subject = keeper();
    const loading = subject.load();
    await until(() => reported.length > 0, 'the trouble is reported');
    expect(reported[0]).to.match(/there is none, and what was in use .*cannot be used/);
    expect(api.writes).to.have.length(0);
    subject.stop();
    expect(await loading).to.equal(undefined);
  });

  it('is restored with the same key when it is deleted', async () => {
    const subject = keeper();
    await subject.load();
    const before = stateData();
    await watched();
    let away = 2;
    api.intercept = ({ method }) => {
      if (method === 'POST' && away-- > 0) throw new KubeError('503', 503, 'ServiceUnavailable');
      return undefined;
    };
    api.drop(STATE);
    await until(() => stateData() !== undefined, 'the Secret is there again');
    expect(stateData()).to.deep.equal(before);
    await until(() => reported.length > 0, 'that is reported');
    expect(reported[0]).to.match(/^AuthorityRestored: .*deleted/);
  });

  it('writes over what none of the replicas has written, and uses none of it', async () => {
    const subject = keeper();
    const held = (await subject.load())!;
    const { id } = held.signing;
    const before = stateData()!;
    await watched();
    for (const data of [
      { ...before, 'state.json': base64('nonsense') },
      { ...before, 'tls.crt': before['tls.key'] },
      { ...before, 'state.json': base64(JSON.stringify({ generation: 1, leafMs: 1, retired: [] })) },
      {
        ...before,
        'state.json': base64(JSON.stringify({ generation: Date.now() + 5, leafMs: 1, retired: [{ certificate: 'no', untilMs: 1 }, 7] })),
      },
    ]) {
      const count = reported.length;
      api.put(STATE, { data });
      await until(() => reported.length > count, 'it is reported');
      expect(stateData()).to.deep.equal(before);
    }
    expect(held.signing.id).to.equal(id);
    await until(() => subject.problem === '', 'all is well again');
  });

  it('is not troubled by a watch that reports its own writes late', async () => {
    const subject = keeper();
    const held = (await subject.load())!;
    await watched();
    const early = structuredClone(api.get(STATE)!);
    await subject.write(withNext(held.state, await Authority.generate(SETTINGS), Date.now()));
    const { writes } = api;
    api.report(STATE, early);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([subject.problem, reported, held.roots().length]).to.deep.equal(['', [], 2]);
    // It may have been a backup that a person put back: that it is not was found by trying to write over it.
    expect(api.writes.length - writes.length).to.be.lessThan(2);
    api.report(STATE, api.get(STATE)!);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(subject.problem).to.equal('');
  });

  it('follows what another replica writes, and its roots are those of both authorities', async () => {
    const [leader, follower] = [keeper(), keeper()];
    const held = (await follower.load())!;
    const { signing } = held;
    await leader.load();
    let changes = 0;
    held.onChange(() => changes++);
    const next = await Authority.generate(SETTINGS);
    await leader.write(withNext(leader.inUse!.state, next, Date.now()));
    await until(() => held.roots().length === 2, 'the follower trusts both');
    expect(held.signing).to.equal(signing);
    expect(held.rootsPem()).to.equal(leader.inUse!.rootsPem());
    expect(held.generation).to.equal(leader.inUse!.generation);
    expect(changes).to.equal(1);
  });
});
