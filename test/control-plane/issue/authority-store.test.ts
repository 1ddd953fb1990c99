// The authority in a Secret: one for all replicas, restored when deleted, never silently another.
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { AuthorityKeeper } from '#control-plane/issue/authority-store.ts';
import { AUTHORITY_SECRET } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_SECRET };
const SETTINGS = { trustDomain: 'test.local', now: Date.now };
/** Retries do not wait in a test. */
const HASTY: Timers = { now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 5), then) };

describe('control-plane/issue: authority-store', () => {
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
    expect(api.writes.filter(({ path }) => path.endsWith('/secrets'))).to.have.length(3);
    expect(Buffer.from(data()!['tls.crt']!, 'base64').toString().trim()).to.equal([...roots][0]!.trim());
    expect(api.get(SECRET)).to.include({ type: 'kubernetes.io/tls' });
  });

  it('is taken as a person has put it, with more roots to trust', async () => {
    const [mine, old] = await Promise.all([Authority.generate(SETTINGS), Authority.generate(SETTINGS)]);
    api.put(SECRET, { data: { ...secretOf(mine).data, 'extra-roots.pem': base64(old.certificate) } });
    expect((await keeper().load())!.roots()).to.have.length(2);
    expect(api.writes).to.have.length(0);
  });

  it('waits for an API server that is away', async () => {
    let away = 3;
    api.intercept = () => {
      if (away-- > 0) throw new KubeError('nothing listens there', 0, 'ECONNREFUSED');
      return undefined;
    };
    expect(await keeper().load()).to.be.instanceOf(Authority);
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
    expect(api.writes).to.have.length(0);
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

  it('is restored with the same key when it is deleted', async () => {
    const subject = keeper();
    await subject.load();
    const before = data();
    await until(() => api.asked.some(({ path }) => path.endsWith('/secrets')), 'it is watched');
    await new Promise((resolve) => setImmediate(resolve));
    let away = 2;
    api.intercept = ({ method }) => {
      if (method === 'POST' && away-- > 0) throw new KubeError('503', 503, 'ServiceUnavailable');
      return undefined;
    };
    api.drop(SECRET);
    await until(() => data() !== undefined, 'the Secret is there again');
    expect(data()).to.deep.equal(before);
    await until(() => reported.length > 0, 'that is reported');
    expect(reported[0]).to.match(/^AuthorityRestored: .*with the same key/);
  });

  it('reports a Secret that was replaced, and one that was put right, but goes on with what it has', async () => {
    const subject = keeper();
    await subject.load();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const before = api.get(SECRET)!;
    api.put(SECRET, secretOf(await Authority.generate(SETTINGS)));
    await until(() => subject.problem !== '', 'the problem is named');
    expect(reported).to.have.length(1);
    expect(reported[0]).to.match(/^AuthorityReplaced: .*another authority than the one in use/);
    api.put(SECRET, { data: {} });
    await until(() => reported.length === 2, 'an empty Secret is reported too');
    api.put(SECRET, { data: { ...(before.data as object), 'extra-roots.pem': base64('x') } });
    await until(() => reported.length === 3, 'so are other roots');
    expect(reported[2]).to.match(/extra-roots\.pem .*count from the next start/);
    api.put(SECRET, { data: before.data });
    await until(() => subject.problem === '', 'all is well again');
    expect(api.writes.filter(({ method }) => method !== 'POST')).to.have.length(0);
  });
});
