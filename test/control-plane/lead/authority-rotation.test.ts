// The authority is replaced step by step: nothing signs before it is trusted everywhere, nothing is distrusted before no
// leaf of it is left, and what cannot be used changes nothing.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { Authority, type AuthorityPem, type AuthoritySettings } from '#certs/authority.ts';
import { AuthorityKeeper } from '#control-plane/issue/authority-keeper.ts';
import { encodeAuthority, RETIRE_MARGIN_MS } from '#control-plane/issue/authority-state.ts';
import { AuthorityRotation } from '#control-plane/lead/authority-rotation.ts';
import { rotatesAtMs } from '#control-plane/lead/authority-view.ts';
import { AWAY_WITHIN_MS, type RotationFacts } from '#control-plane/lead/rotation-progress.ts';
import { ANNOTATION_FINISH, ANNOTATION_ROTATE, AUTHORITY_SECRET, ROTATE_TAKE_OVER } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_SECRET };
const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const LEAF_MS = 2 * HOUR_MS;

/** Nothing is waited for. */
const DONE: RotationFacts = {
  replicas: ['a'],
  reports: new Map([['a', { version: 'v', connected: 2, behind: 0, behindPods: [], old: 0, oldPods: [] }]]),
  version: 'v',
  meshedPods: 2,
  namespaces: [],
};
const report = (more: object) => new Map([['a', { ...DONE.reports.get('a')!, ...more }]]);
const BEHIND: RotationFacts = { ...DONE, reports: report({ behind: 1, behindPods: ['shop/slow'] }) };
const OLD_LEAF: RotationFacts = { ...DONE, reports: report({ old: 1, oldPods: ['shop/late'] }) };

describe('control-plane/lead: authority-rotation', () => {
  let api: FakeApi;
  let aheadMs: number;
  let facts: RotationFacts;
  let reported: string[];
  let forgotten: number;
  let leading: boolean;
  let furtherRoots: string | undefined;
  let keeper: AuthorityKeeper;
  let rotation: AuthorityRotation;

  const now = (): number => Date.now() + aheadMs;
  /** Looks come at once; how late it is the test says. */
  const timers: Timers = { now, after: (ms, then) => systemTimers.after(Math.min(ms, 5), then) };
  const settings: AuthoritySettings = { trustDomain: 'test.local', now, leafLifetimeMs: LEAF_MS, maxLeafLifetimeMs: LEAF_MS };

  beforeEach(() => {
    api = new FakeApi();
    [aheadMs, facts, reported, forgotten, leading, furtherRoots] = [0, DONE, [], 0, true, ''];
  });

  afterEach(() => {
    rotation.stop();
    keeper.stop();
  });

  async function begin(pem?: AuthorityPem, metadata: object = {}): Promise<void> {
    if (pem !== undefined) api.put(SECRET, { metadata, data: encodeAuthority(pem) });
    const around = { client: api, namespace: 'weft-system', timers, random: () => 0.5, log: silentLogger };
    const onTrouble = (reason: string, message: string): void => void reported.push(`${reason}: ${message}`);
    keeper = new AuthorityKeeper({ ...around, authority: settings, onTrouble });
    await keeper.load();
    rotation = new AuthorityRotation({
      ...around,
      keeper,
      authority: settings,
      furtherRoots: () => furtherRoots,
      facts: () => facts,
      forget: async () => void forgotten++,
      stillLeading: () => leading,
      onTrouble,
    });
    rotation.start();
    rotation.lead(true);
    await until(() => rotation.status().synced, 'the Secret is read');
  }

  const generate = (more: object = {}): Promise<AuthorityPem> => Authority.generate({ ...settings, ...more });
  const want = (pem: AuthorityPem): void => void api.put(SECRET, { ...api.get(SECRET), data: encodeAuthority(pem) });
  const ask = (annotation: string): void =>
    void api.put(SECRET, { ...api.get(SECRET), metadata: { annotations: { [annotation]: 'now', kept: 'yes' } } });
  const isAnswered = (): boolean => {
    const annotations = (api.get(SECRET)!.metadata as { annotations?: object }).annotations ?? {};
    return !(ANNOTATION_ROTATE in annotations) && !(ANNOTATION_FINISH in annotations);
  };
  const inUse = () => keeper.inUse!;
  const signs = (pem: AuthorityPem): boolean => inUse().signing.certificate.raw.equals(new X509Certificate(pem.certificate).raw);
  const trusts = (pem: AuthorityPem): boolean =>
    inUse()
      .roots()
      .some((root) => root.equals(new X509Certificate(pem.certificate).raw));
  const phase = () => rotation.view()!.phase;

  it('has the new root trusted before it signs, and the old one until no leaf of it is left', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    facts = BEHIND;
    want(fresh);
    await until(() => trusts(fresh), 'the new root is sent');
    expect([signs(old), trusts(old), phase()]).to.deep.equal([true, true, 'distributing']);
    expect(rotation.view()!.waitsFor).to.deep.equal(['1 sidecar of a to trust the roots: shop/slow']);
    aheadMs += AWAY_WITHIN_MS + 1;
    expect(rotation.view()!.waitsFor, 'who is connected is waited for without an end').to.have.length(1);
    facts = DONE;
    await until(() => signs(fresh), 'it signs');
    const { retired } = inUse().state;
    expect([trusts(old), phase(), retired.length]).to.deep.equal([true, 'retiring', 1]);
    expect(retired[0]!.untilMs - now()).to.be.within(LEAF_MS + RETIRE_MARGIN_MS - 10_000, LEAF_MS + RETIRE_MARGIN_MS);
    aheadMs += LEAF_MS + RETIRE_MARGIN_MS - 20_000;
    rotation.touch();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(trusts(old), 'a leaf may live still').to.equal(true);
    aheadMs += 40_000;
    rotation.touch();
    await until(() => !trusts(old), 'the old root is gone');
    expect(phase()).to.equal('steady');
    expect(trusts(fresh)).to.equal(true);
    await until(() => forgotten > 0, 'what the replicas said is forgotten');
    expect(reported).to.deep.equal([]);
  });

  it('signs with the new one before the old one ends, whoever is behind', async () => {
    const [old, fresh] = await Promise.all([generate({ lifetimeMs: 10 * DAY_MS }), generate()]);
    await begin(old);
    facts = BEHIND;
    want(fresh);
    await until(() => trusts(fresh), 'the new root is sent');
    aheadMs = 9 * DAY_MS;
    expect(signs(old)).to.equal(true);
    aheadMs = 10 * DAY_MS - LEAF_MS / 2 + 1000;
    await until(() => signs(fresh), 'it signs');
  });

  it('tries what is wanted, reports what cannot be used, goes on as before, and takes what is put right', async () => {
    const [old, fresh, other] = await Promise.all([generate(), generate(), generate()]);
    await begin(old);
    want({ certificate: fresh.certificate, key: other.key });
    await until(() => reported.length === 1, 'it is reported');
    expect(reported[0]).to.match(/^AuthorityUnusable: .*another certificate.*The authority before it goes on/);
    expect(rotation.view()!.refused).to.contain('another certificate');
    expect(rotation.problem).to.contain('another certificate');
    const ended = await Authority.generate({ ...settings, now: () => now() - 2 * DAY_MS, lifetimeMs: DAY_MS });
    want(ended);
    await until(() => reported.length === 2, 'an expired one is reported');
    expect(reported[1]).to.contain('expired at');
    api.put(SECRET, { data: {} });
    await until(() => reported.length === 3, 'an empty Secret is reported');
    expect([signs(old), inUse().roots().length, phase()]).to.deep.equal([true, 1, 'steady']);
    api.put(SECRET, { data: encodeAuthority(fresh) });
    await until(() => signs(fresh), 'what was put right is taken');
    expect(rotation.problem).to.equal('');
  });

  it('takes further roots, and takes them back, without waiting: what signs is the same', async () => {
    const [old, more] = await Promise.all([generate(), generate()]);
    await begin(old);
    facts = BEHIND;
    want({ ...old, extraRoots: more.certificate });
    await until(() => trusts(more) && phase() === 'steady', 'it is trusted');
    want(old);
    await until(() => !trusts(more), 'it is trusted no more');
    expect(phase()).to.equal('steady');
  });

  it('takes further roots from elsewhere, keeps them while they are not known, and does not write them into the Secret', async () => {
    const [old, more, fresh] = await Promise.all([generate(), generate(), generate()]);
    furtherRoots = more.certificate;
    await begin(old);
    rotation.touch();
    await until(() => trusts(more), 'it is trusted');
    furtherRoots = undefined;
    want(fresh);
    rotation.touch();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([signs(old), trusts(more)]).to.deep.equal([true, true]);
    furtherRoots = more.certificate;
    rotation.touch();
    await until(() => signs(fresh), 'what was wanted is taken up');
    ask(ANNOTATION_ROTATE);
    await until(() => !signs(fresh), 'another one signs');
    expect(trusts(more)).to.equal(true);
    expect(api.get(SECRET)!.data).to.not.have.property('extra-roots.pem');
    furtherRoots = '';
    rotation.touch();
    await until(() => !trusts(more), 'it is trusted no more');
  });

  it('keeps an old root that was among the further ones where a person takes it away from there', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    want({ ...fresh, extraRoots: old.certificate });
    await until(() => signs(fresh), 'another one signs');
    expect(phase()).to.equal('retiring');
    want(fresh);
    await until(() => inUse().state.signing.extraRoots === undefined, 'it is taken up');
    expect(trusts(old), 'leaves of it live').to.equal(true);
  });

  it('goes back where the authority that signs is wanted again before the other one signs', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    facts = BEHIND;
    want(fresh);
    await until(() => trusts(fresh), 'the new root is sent');
    want(old);
    await until(() => !trusts(fresh), 'it is taken back');
    expect([signs(old), phase()]).to.deep.equal([true, 'steady']);
  });

  it('makes a new authority where a person asks for it, with the further roots of the old one', async () => {
    const [old, more] = await Promise.all([generate(), generate()]);
    await begin({ ...old, extraRoots: more.certificate });
    ask(ANNOTATION_ROTATE);
    await until(() => phase() === 'retiring', 'another one signs');
    expect([signs(old), trusts(old), trusts(more)]).to.deep.equal([false, true, true]);
    expect(isAnswered()).to.equal(true);
    expect(api.get(SECRET)!.metadata).to.deep.include({ annotations: { kept: 'yes' } });
  });

  it('makes none where others make it, or while one is on its way', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old, { annotations: { 'cert-manager.io/certificate-name': 'mesh' } });
    expect(rotation.view()!.managedBy).to.equal('cert-manager Certificate mesh');
    api.put(SECRET, {
      ...api.get(SECRET),
      metadata: { annotations: { 'cert-manager.io/certificate-name': 'mesh', [ANNOTATION_ROTATE]: 'now' } },
    });
    await until(() => reported.length === 1 && isAnswered(), 'it is declined');
    expect(reported[0]).to.match(/^AuthorityRefused: .*renewed where it comes from/);
    api.put(SECRET, { ...api.get(SECRET), metadata: { annotations: {} } });
    facts = BEHIND;
    want(fresh);
    await until(() => phase() === 'distributing', 'another one is on its way');
    ask(ANNOTATION_ROTATE);
    await until(() => reported.length === 2 && isAnswered(), 'it is declined');
    expect(reported[1]).to.contain('under way');
    ask(ANNOTATION_FINISH);
    await until(() => reported.length === 3 && isAnswered(), 'it is declined');
    expect(reported[2]).to.contain('does not sign yet');
  });

  it('takes an authority of others over where a person says so', async () => {
    const old = await generate();
    const annotations = { 'cert-manager.io/certificate-name': 'mesh', kept: 'yes' };
    await begin(old, { annotations });
    api.put(SECRET, { ...api.get(SECRET), metadata: { annotations: { ...annotations, [ANNOTATION_ROTATE]: ROTATE_TAKE_OVER } } });
    await until(() => phase() === 'retiring', 'another one signs');
    expect(rotation.view()!.managedBy).to.equal('Weft');
    expect(api.get(SECRET)!.metadata).to.deep.include({ annotations: { kept: 'yes' } });
  });

  it('drops old roots before their time where a person asks for it and no leaf of theirs is left', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    want(fresh);
    await until(() => phase() === 'retiring', 'another one signs');
    for (const [needed, why] of [
      [OLD_LEAF, 'shop/late'],
      [{ ...DONE, replicas: ['a', 'b'] }, '1 replica of the control plane to send the roots: b'],
      [{ ...DONE, version: 'newer' }, '1 replica of the control plane to send the roots: a'],
      [{ ...DONE, meshedPods: 4 }, '2 pods with a sidecar'],
    ] as const) {
      facts = needed;
      const count = reported.length;
      ask(ANNOTATION_FINISH);
      await until(() => reported.length > count && isAnswered(), 'it is declined');
      expect(reported.at(-1)).to.contain('old roots are needed still').and.contain(why);
      expect(trusts(old)).to.equal(true);
    }
    facts = DONE;
    ask(ANNOTATION_FINISH);
    await until(() => !trusts(old) && isAnswered(), 'the old root is gone');
    expect(phase()).to.equal('steady');
  });

  it('follows an authority of its own with another in the last third of its life, and no other', async () => {
    const own = await generate({ lifetimeMs: 300 * DAY_MS });
    await begin(own);
    const atMs = rotatesAtMs(inUse().signing);
    const { notBeforeMs, notAfterMs } = inUse().signing;
    expect((atMs - notBeforeMs) / (notAfterMs - notBeforeMs)).to.be.within(2 / 3, 2 / 3 + 0.05);
    aheadMs = atMs - Date.now() - 60_000;
    rotation.touch();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(signs(own)).to.equal(true);
    aheadMs += 120_000;
    rotation.touch();
    await until(() => phase() === 'retiring', 'another one signs');
    expect(inUse().signing.notAfterMs).to.be.greaterThan(notAfterMs);
  });

  it('lets an authority that others have made end, and does not follow it with one of its own', async () => {
    const own = await generate({ lifetimeMs: 300 * DAY_MS });
    await begin(own, { annotations: { 'cert-manager.io/certificate-name': 'mesh' } });
    aheadMs = 299 * DAY_MS;
    rotation.touch();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(signs(own)).to.equal(true);
  });

  it('puts a Secret that was deleted back, that of the next authority where there is one', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    api.drop(SECRET);
    await until(() => api.get(SECRET) !== undefined, 'it is there again');
    expect(api.get(SECRET)!.data).to.deep.equal(encodeAuthority(old));
    facts = BEHIND;
    want(fresh);
    await until(() => trusts(fresh), 'the new root is sent');
    api.drop(SECRET);
    await until(() => api.get(SECRET) !== undefined, 'it is there again');
    expect(api.get(SECRET)!.data).to.deep.equal(encodeAuthority(fresh));
  });

  it('does nothing where another replica leads', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    leading = false;
    want(fresh);
    ask(ANNOTATION_ROTATE);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(trusts(fresh)).to.equal(false);
    expect(isAnswered()).to.equal(false);
  });

  it('issues leaves of either authority that verify by the roots of that moment', async () => {
    const [old, fresh] = await Promise.all([generate(), generate()]);
    await begin(old);
    const leafOf = async (): Promise<X509Certificate> => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return new X509Certificate((await inUse().signing.issue(publicKey, 'shop', 'checkout')).chain[0]!);
    };
    const verifies = (leaf: X509Certificate): boolean =>
      inUse()
        .roots()
        .some((root) => leaf.verify(new X509Certificate(root).publicKey));
    const before = await leafOf();
    want(fresh);
    await until(() => phase() === 'retiring', 'another one signs');
    const after = await leafOf();
    expect([verifies(before), verifies(after)]).to.deep.equal([true, true]);
    ask(ANNOTATION_FINISH);
    await until(() => phase() === 'steady', 'it is finished');
    expect([verifies(before), verifies(after)]).to.deep.equal([false, true]);
  });
});
