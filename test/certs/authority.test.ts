// The authority: what it signs, how long it lasts, how it is kept, and what it refuses to be.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { Authority, AuthorityError, BACKDATE_MS, splitPem } from '#certs/authority.ts';
import { bootstrapAuthority, MemoryStore } from '#certs/bootstrap.ts';
import { ServerRotation } from '#certs/rotation.ts';
import { validateSvid } from '#core/contract/svid.ts';
import { craft, craftAuthority } from '#test/support/craft-certificate.ts';
import { recordingLogger } from '#test/support/issuing-server.ts';
import { ManualTimers } from '#test/support/manual-timers.ts';

const trustDomain = 'cluster.local';
const HOUR_MS = 3600_000;
const settings = { trustDomain, now: Date.now };

function publicKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
}

async function rejects(promise: Promise<unknown>, error: abstract new (...args: never[]) => Error, text: string): Promise<void> {
  const failure = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(failure).to.be.instanceOf(error);
  expect((failure as Error).message).to.include(text);
}

describe('certs/authority', () => {
  let authority: Authority;
  before(async () => {
    authority = await Authority.create(settings);
  });

  it('signs a certificate that our validator and OpenSSL take', async () => {
    const leaf = await authority.issue(publicKey(), 'shop', 'checkout');
    expect(validateSvid(leaf.chain[0], { trustDomain, nowMs: Date.now(), expectedIdentity: leaf.identity })).to.deep.equal({
      ok: true,
      identity: 'spiffe://cluster.local/ns/shop/sa/checkout',
      notBeforeMs: leaf.notBeforeMs,
      notAfterMs: leaf.notAfterMs,
    });
    const certificate = new X509Certificate(leaf.chain[0]!);
    expect(certificate.checkIssued(authority.certificate)).to.equal(true);
    expect(certificate.verify(authority.certificate.publicKey)).to.equal(true);
    expect(certificate.subject).to.equal(undefined);
    expect(certificate.subjectAltName).to.equal('URI:spiffe://cluster.local/ns/shop/sa/checkout');
    expect(certificate.ca).to.equal(false);
  });

  it('dates back two minutes and lasts 12 hours, or what is asked for up to a day', async () => {
    const nowMs = 1_800_000_000_500;
    const fixed = await Authority.create({ trustDomain, now: () => nowMs });
    const life = async (askedMs: number): Promise<number> =>
      (await fixed.issue(publicKey(), 'shop', 'checkout', askedMs)).notAfterMs - (nowMs - 500);
    expect((await fixed.issue(publicKey(), 'shop', 'checkout')).notBeforeMs).to.equal(nowMs - 500 - BACKDATE_MS);
    expect(await life(0)).to.equal(12 * HOUR_MS);
    expect(await life(20_000)).to.equal(20_000);
    expect(await life(1)).to.equal(1000);
    expect(await life(1e15)).to.equal(24 * HOUR_MS);
  });

  it('signs nothing that outlives it, and nothing once it has expired', async () => {
    let nowMs = Date.now();
    const short = await Authority.create({ trustDomain, now: () => nowMs, lifetimeMs: HOUR_MS });
    nowMs += HOUR_MS / 2;
    expect((await short.issue(publicKey(), 'shop', 'checkout')).notAfterMs).to.equal(short.notAfterMs);
    nowMs += HOUR_MS;
    await rejects(short.issue(publicKey(), 'shop', 'checkout'), AuthorityError, 'expired');
  });

  it('signs for no name that is not a ServiceAccount', async () => {
    await rejects(
      Promise.resolve().then(() => authority.issue(publicKey(), '../x', 'y')),
      RangeError,
      'not a namespace',
    );
    await rejects(
      Promise.resolve().then(() => authority.issue(publicKey(), 'x', 'y/z')),
      RangeError,
      'not a ServiceAccount',
    );
    await rejects(Authority.create({ ...settings, trustDomain: 'Cluster Local' }), RangeError, 'not a trust domain');
  });

  it('gives every certificate another serial number', async () => {
    const leaves = await Promise.all([1, 2, 3].map(() => authority.issue(publicKey(), 'shop', 'checkout')));
    expect(new Set(leaves.map(({ chain }) => new X509Certificate(chain[0]!).serialNumber)).size).to.equal(3);
  });

  it('knows its own key', () => {
    expect(authority.isOwnKey(authority.certificate.publicKey)).to.equal(true);
    expect(authority.isOwnKey(publicKey())).to.equal(false);
  });

  it('is kept as PEM and taken up again, with more roots to trust', async () => {
    const pem = await Authority.generate(settings);
    const other = await Authority.generate(settings);
    const loaded = await Authority.load({ ...pem, extraRoots: other.certificate + pem.certificate }, settings);
    expect(loaded.roots()).to.deep.equal([pem, other].map(({ certificate }) => new X509Certificate(certificate).raw));
    expect(splitPem(loaded.rootsPem()).length).to.equal(2);
    const leaf = await loaded.issue(publicKey(), 'shop', 'checkout');
    expect(new X509Certificate(leaf.chain[0]!).verify(new X509Certificate(pem.certificate).publicKey)).to.equal(true);
  });

  it('takes an authority that OpenSSL has made', async function () {
    const made = opensslAuthority();
    if (made === null) return this.skip();
    const loaded = await Authority.load(made, settings);
    const leaf = await loaded.issue(publicKey(), 'shop', 'checkout');
    const certificate = new X509Certificate(leaf.chain[0]!);
    expect(certificate.checkIssued(loaded.certificate) && certificate.verify(loaded.certificate.publicKey)).to.equal(true);
  });

  it('refuses to be what it cannot be, and says why', async () => {
    const pem = await Authority.generate(settings);
    const other = await Authority.generate(settings);
    const leaf = await craft(await craftAuthority());
    await rejects(Authority.load({ ...pem, certificate: 'x' }, settings), AuthorityError, 'not a certificate');
    await rejects(Authority.load({ ...pem, key: 'x' }, settings), AuthorityError, 'key cannot be used');
    await rejects(Authority.load({ ...pem, key: other.key }, settings), AuthorityError, 'of another certificate');
    await rejects(Authority.load({ certificate: leaf.pem, key: leaf.keyPem }, settings), AuthorityError, "not an authority's certificate");
    await rejects(Authority.load({ ...pem, extraRoots: leaf.pem }, settings), AuthorityError, "not an authority's certificate");
  });
});

describe('certs/bootstrap', () => {
  it('replicas that start at once end with one authority', async () => {
    const store = new MemoryStore();
    const replicas = await Promise.all([1, 2, 3].map(() => bootstrapAuthority(store, settings)));
    expect(new Set(replicas.map(({ certificate }) => certificate.fingerprint256)).size).to.equal(1);
    expect((await bootstrapAuthority(store, settings)).certificate.fingerprint256).to.equal(replicas[0]!.certificate.fingerprint256);
  });

  it('never makes a new root beside one that cannot be used', async () => {
    const store = new MemoryStore({ certificate: 'damaged', key: 'damaged' });
    await rejects(bootstrapAuthority(store, settings), AuthorityError, 'not a certificate');
    expect(await store.read()).to.deep.equal({ certificate: 'damaged', key: 'damaged' });
  });
});

describe('certs/rotation', () => {
  it('renews the server certificate at half its life, with a new key, and says so', async () => {
    const timers = new ManualTimers(1_800_000_000_000);
    const authority = await Authority.create({ trustDomain, now: () => timers.now() });
    const rotation = new ServerRotation({ authority, timers, random: () => 0.5, lifetimeMs: 20_000 });
    const first = await rotation.start();
    expect(first.identity).to.equal('spiffe://cluster.local/ns/weft-system/sa/weft-control-plane');
    const renewed = new Promise<unknown>((resolve) => rotation.onChange(resolve));
    timers.advance(9_999);
    expect(rotation.current()).to.equal(first);
    timers.advance(1);
    const second = await renewed;
    expect(rotation.current()).to.equal(second);
    expect(rotation.current()!.key.equals(first.key)).to.equal(false);
    expect(rotation.current()!.notAfterMs).to.equal(first.notAfterMs + 10_000);
    await new Promise((resolve) => setImmediate(resolve));
    rotation.stop();
    expect(timers.nextInMs()).to.equal(null);
  });

  it('takes a certificate of another authority as soon as that signs, and the roots alone where they change', async () => {
    const timers = new ManualTimers(1_800_000_000_000);
    const settings = { trustDomain, now: () => timers.now() };
    const [old, middle, fresh] = await Promise.all([1, 2, 3].map(() => Authority.create(settings)));
    const listeners = new Set<() => void>();
    const inUse = { trustDomain, signing: old!, generation: 0, roots: () => old!.roots(), rootsPem: () => old!.rootsPem() };
    const authority = {
      ...inUse,
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const tell = (): void => {
      for (const listener of listeners) listener();
    };
    const rotation = new ServerRotation({ authority, timers, random: () => 0.5, lifetimeMs: 20_000 });
    const first = await rotation.start();
    const told: unknown[] = [];
    rotation.onChange((leaf) => told.push(leaf));
    tell();
    expect(told, 'other roots').to.deep.equal([first]);
    // The second overtakes the first, and its own timer is the only one afterwards.
    authority.signing = middle!;
    tell();
    authority.signing = fresh!;
    tell();
    while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told).to.have.length(2);
    const leaf = new X509Certificate(rotation.current()!.chain[0]!);
    expect(leaf.verify(fresh!.certificate.publicKey)).to.equal(true);
    timers.advance(10_000);
    while (told.length < 3) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told, 'it is renewed once').to.have.length(3);
    rotation.stop();
    expect([timers.nextInMs(), listeners.size]).to.deep.equal([null, 0]);
  });

  it('goes on trying when the authority cannot sign, and says so', async () => {
    const timers = new ManualTimers(1_800_000_000_000);
    const authority = await Authority.create({ trustDomain, now: () => timers.now(), lifetimeMs: 20_000 });
    const { log, lines } = recordingLogger();
    const rotation = new ServerRotation({ authority, timers, random: () => 0.5, log });
    const last = await rotation.start();
    timers.sleep(30_000);
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(lines[0]!.msg).to.include('could not renew');
    expect(rotation.current()).to.equal(last);
    expect(timers.nextInMs()).to.be.within(1, 30_000);
    rotation.stop();
  });
});

/** null where there is no openssl. */
function opensslAuthority(): { certificate: string; key: string } | null {
  const subject = ['-subj', '/C=DE/O=Ümlaut GmbH/CN=mesh root', '-utf8', '-addext', 'keyUsage=critical,keyCertSign'];
  try {
    const text = execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        '-',
        '-out',
        '-',
        '-days',
        '30',
        ...subject,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    return { certificate: splitPem(text)[0]!, key: /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)![0] };
  } catch {
    return null;
  }
}
