// The sidecar's certificate: got by token over a real connection, renewed at half its life, kept when the control plane
// is away.
import { createPublicKey } from 'node:crypto';
import fs from 'node:fs';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type IssueRequest, type IssueResponse, IssueResponseSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Credentials, type CredentialsDeps, UNREACHED_RETRY_CAP_MS } from '#sidecar/control/credentials.ts';
import type { Leaf } from '#sidecar/control/leaf.ts';
import { craft, craftAuthority } from '../../support/craft-certificate.ts';
import { type IssuingServer, recordingLogger, startIssuingServer, TRUST_DOMAIN } from '../../support/issuing-server.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/checkout';

async function issueFor(authority: Authority, request: IssueRequest): Promise<IssueResponse> {
  const key = createPublicKey({ key: Buffer.from(request.publicKey), format: 'der', type: 'spki' });
  const { chain, identity } = await authority.issue(key, 'shop', 'checkout');
  return create(IssueResponseSchema, { chain: [...chain], roots: [...authority.roots()], trustDomain: TRUST_DOMAIN, identity });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('sidecar/control: credentials', () => {
  let server: IssuingServer | null = null;
  let credentials: Credentials | null = null;

  afterEach(() => {
    credentials?.stop();
    server?.close();
    server = credentials = null;
  });

  function newCredentials(at: IssuingServer, deps: Partial<CredentialsDeps> = {}): Credentials {
    credentials = new Credentials({
      controlPlane: { host: at.host, port: at.port },
      tokenFile: at.tokenFile(),
      trustBundleFile: at.trustBundleFile,
      trustDomain: TRUST_DOMAIN,
      timers: systemTimers,
      random: Math.random,
      ...deps,
    });
    return credentials;
  }

  const changed = (of: Credentials): Promise<Leaf> =>
    new Promise((resolve) => {
      const end = of.onChange((leaf) => {
        end();
        resolve(leaf);
      });
    });

  /** Waits until so many attempts have failed. */
  async function failures(of: Credentials, count: number): Promise<void> {
    for (let looks = 0; of.status().failures < count; looks++) {
      if (looks > 2000) throw new Error(`${of.status().failures} failures instead of ${count}: ${of.status().lastError}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  it('gets a certificate with the token and offers a context for both directions', async () => {
    server = await startIssuingServer();
    const fresh = newCredentials(server);
    expect([fresh.current(), fresh.tlsServerContext(), fresh.tlsClientContext()]).to.deep.equal([null, null, null]);
    fresh.start();
    const leaf = await changed(fresh);
    expect(leaf.identity).to.equal(IDENTITY);
    expect(fresh.current()).to.equal(leaf);
    expect(fresh.tlsServerContext()).to.be.an('object').and.equal(fresh.tlsServerContext());
    expect(fresh.status()).to.deep.equal({ identity: IDENTITY, notAfterMs: leaf.notAfterMs, issued: 1, failures: 0, lastError: '' });
  });

  it('renews leaves of two seconds again and again, each with a new key', async () => {
    server = await startIssuingServer({ leafLifetimeMs: 2000, serverLifetimeMs: 2000 });
    const fresh = newCredentials(server);
    fresh.start();
    let last = await changed(fresh);
    for (let i = 0; i < 3; i++) {
      const next = await changed(fresh);
      expect(next.key.equals(last.key)).to.equal(false);
      last = next;
    }
    expect(fresh.status()).to.include({ failures: 0 });
  });

  it('renews at half the life ± 10 %, also when the machine has slept', async () => {
    server = await startIssuingServer({ leafLifetimeMs: 100_000 });
    for (const [random, halfMs] of [
      [0, 45_000],
      [0.999999, 55_000],
    ] as const) {
      const timers = new ManualTimers();
      const fresh = newCredentials(server, { timers, random: () => random });
      fresh.start();
      const { receivedMs, notAfterMs } = await changed(fresh);
      const dueMs = (halfMs / 50_000) * ((notAfterMs - receivedMs) / 2);
      const second = changed(fresh);
      timers.advance(dueMs - 1);
      await turn();
      expect(fresh.status().issued).to.equal(1);
      timers.sleep(2);
      await second;
      expect(fresh.status().issued).to.equal(2);
      fresh.stop();
    }
  });

  it('asks again within a second while no control plane is reached, and later where one says no', async () => {
    for (const [isThere, capMs] of [
      [false, UNREACHED_RETRY_CAP_MS],
      [true, 5000],
    ] as const) {
      server = await startIssuingServer({ issue: { verifyToken: async () => ({ error: 'not a token' }) } });
      const timers = new ManualTimers();
      const fresh = newCredentials(server, { timers, random: () => 0.999 });
      if (!isThere) server.stop();
      fresh.start();
      for (let count = 1; count <= 8; count++) {
        await until(() => {
          // The pauses between tries, and that between attempts.
          if (fresh.status().failures < count) timers.advance(50);
          return fresh.status().failures >= count;
        }, `attempt ${count} has failed: ${fresh.status().lastError}`);
      }
      expect(timers.nextInMs(), fresh.status().lastError).to.be.within(capMs * 0.9, capMs);
      fresh.stop();
      server.close();
    }
  });

  it('keeps its certificate when the control plane is away, and gets the next when it is back', async () => {
    server = await startIssuingServer();
    const timers = new ManualTimers();
    const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, now: () => timers.now(), leafLifetimeMs: 20_000 });
    const { log, lines } = recordingLogger();
    let away = false;
    const ask = async (request: IssueRequest): Promise<IssueResponse> => {
      if (away) throw new Error('nobody there');
      return issueFor(authority, request);
    };
    const fresh = newCredentials(server, { timers, log, ask, random: () => 0.5 });
    fresh.start();
    const first = await changed(fresh);
    away = true;
    timers.advance(timers.nextInMs()!);
    for (let i = 1; i <= 12; i++) {
      await failures(fresh, i);
      expect(timers.nextInMs(), 'the next try is never far').to.be.within(20, 20_000);
      timers.advance(timers.nextInMs()!);
    }
    await failures(fresh, 13);
    expect(fresh.current()).to.equal(first);
    expect(fresh.expired()).to.equal(
      `certificate expired at ${new Date(first.notAfterMs).toISOString()}, and there is no new one: nobody there`,
    );
    expect(lines.at(-1)).to.deep.include({ level: 'error', msg: 'certificate expired, and there is no new one' });
    away = false;
    const second = changed(fresh);
    timers.advance(20_000);
    await second;
    expect(fresh.status().lastError).to.equal('');
    expect(fresh.expired()).to.equal('');
  });

  it('believes the roots of the environment while the file is absent, and the file alone when it is there', async () => {
    server = await startIssuingServer();
    const roots = fs.readFileSync(server.trustBundleFile, 'utf8');
    fs.rmSync(server.trustBundleFile);
    const fresh = newCredentials(server, { trustRoots: roots });
    fresh.start();
    expect((await changed(fresh)).identity).to.equal(IDENTITY);
    fresh.stop();

    fs.writeFileSync(server.trustBundleFile, (await craftAuthority()).pem);
    const late = newCredentials(server, { trustRoots: roots });
    late.start();
    await failures(late, 1);
    expect(late.status().lastError).to.contain('certificate refused');
    late.stop();

    fs.rmSync(server.trustBundleFile);
    const wrong = newCredentials(server, { trustRoots: 'roots' });
    wrong.start();
    await failures(wrong, 1);
    expect(wrong.status().lastError).to.equal('the roots in WEFT_TRUST_ROOTS: there is no root to trust');
    wrong.stop();

    const without = newCredentials(server);
    without.start();
    await failures(without, 1);
    expect(without.status().lastError).to.contain(`${server.trustBundleFile}: ENOENT`);
  });

  it('reads the token and the roots anew each time', async () => {
    server = await startIssuingServer();
    const timers = new ManualTimers();
    const tokenFile = server.tokenFile({ audience: 'other' });
    const roots = fs.readFileSync(server.trustBundleFile, 'utf8');
    fs.writeFileSync(server.trustBundleFile, 'soon');
    const fresh = newCredentials(server, { timers, tokenFile, random: () => 0.5 });
    fresh.start();
    await failures(fresh, 1);
    expect(fresh.status().lastError).to.include('there is no root to trust');
    fs.writeFileSync(server.trustBundleFile, roots);
    timers.advance(20_000);
    await failures(fresh, 2);
    expect(fresh.status().lastError).to.equal('a valid ServiceAccount token is needed');
    fs.copyFileSync(server.tokenFile(), tokenFile);
    const got = changed(fresh);
    timers.advance(20_000);
    expect((await got).identity).to.equal(IDENTITY);
  });

  it('sends its token to the control plane only', async () => {
    server = await startIssuingServer();
    const timers = new ManualTimers();
    const asked = server.issue.counts;
    const fresh = newCredentials(server, { timers, trustDomain: 'other.domain', random: () => 0.5 });
    fresh.start();
    await failures(fresh, 1);
    expect(fresh.status().lastError).to.include('certificate refused: wrong trust domain');
    fs.writeFileSync(server.trustBundleFile, (await craftAuthority()).pem);
    timers.advance(20_000);
    await failures(fresh, 2);
    expect(fresh.status().lastError).to.match(/certificate refused: .*(UNABLE_TO_|SELF_SIGNED|SIGNATURE)/);
    expect(asked).to.deep.equal({ issued: 0, unauthenticated: 0, invalid: 0, limited: 0, unavailable: 0 });
  });

  it('takes no certificate that it could not use, and says why', async () => {
    server = await startIssuingServer();
    const root = await craftAuthority();
    const good = await craft(root);
    const expired = await craft(root, { notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() - 3_600_000) });
    const answer = (fields: MessageInitShape<typeof IssueResponseSchema>): IssueResponse =>
      create(IssueResponseSchema, { chain: [good.der], roots: [root.der], trustDomain: TRUST_DOMAIN, identity: IDENTITY, ...fields });
    const cases: readonly [IssueResponse, string][] = [
      [answer({}), 'it is for another key'],
      [answer({ chain: [] }), 'malformed certificate'],
      [answer({ identity: `${IDENTITY}2` }), 'identity mismatch'],
      [answer({ chain: [expired.der] }), 'expired: is the clock of this machine right?'],
      [answer({ trustDomain: 'other' }), 'it is of the trust domain "other"'],
    ];
    for (const [response, reason] of cases) {
      const fresh = newCredentials(server, { timers: new ManualTimers(), ask: async () => response });
      fresh.start();
      await failures(fresh, 1);
      expect(fresh.status().lastError).to.include(reason);
      expect(fresh.current()).to.equal(null);
      fresh.stop();
    }
  });

  it('names the clock when it is late by more than the certificate forgives', async () => {
    server = await startIssuingServer();
    const authority = server.authority;
    const late = new ManualTimers(Date.now() - 600_000);
    const fresh = newCredentials(server, {
      timers: late,
      ask: (request) => issueFor(authority, request),
    });
    fresh.start();
    await failures(fresh, 1);
    expect(fresh.status().lastError).to.include('not yet valid: is the clock of this machine right?');
  });

  it('puts new roots into force at once and refuses unusable ones', async () => {
    server = await startIssuingServer();
    const fresh = newCredentials(server);
    fresh.start();
    const leaf = await changed(fresh);
    const context = fresh.tlsServerContext();
    const bundle = (roots: readonly Buffer[], trustDomain = TRUST_DOMAIN) => create(TrustBundleSchema, { trustDomain, roots: [...roots] });
    fresh.setTrust(bundle(leaf.roots));
    expect(fresh.tlsServerContext(), 'nothing has changed').to.equal(context);
    for (const bad of [bundle([]), bundle([Buffer.from('x')]), bundle([leaf.chain[0]!]), bundle(leaf.roots, 'other')]) {
      expect(() => fresh.setTrust(bad)).to.throw();
      expect(fresh.tlsServerContext()).to.equal(context);
    }
    const next = await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now });
    const told = changed(fresh);
    fresh.setTrust(bundle([...leaf.roots, ...next.roots()]));
    expect((await told).roots.length).to.equal(2);
    expect(fresh.tlsServerContext()).to.not.equal(context);
    expect(fresh.current()!.key).to.equal(leaf.key);
  });
});
