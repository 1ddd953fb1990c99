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
import { Credentials, type CredentialsDeps, RESIGN_WITHIN_MS, UNREACHED_RETRY_CAP_MS } from '#sidecar/control/credentials.ts';
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

  describe('while the authority is replaced', () => {
    /** Answers with leaves of `signing`, whose replica knows the roots of `generation`. */
    async function replaced() {
      const at = (server = await startIssuingServer());
      const [old, next] = await Promise.all([1, 2].map(() => Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now })));
      const replica = { signing: old!, roots: old!.roots(), generation: 10n };
      const timers = new ManualTimers();
      const ask = async (request: IssueRequest): Promise<IssueResponse> => {
        const { signing, roots, generation } = replica;
        const response = await issueFor(signing, request);
        return { ...response, roots: [...roots], generation, signing: signing.id };
      };
      const fresh = newCredentials(at, { timers, ask, random: () => 0.5 });
      fresh.start();
      await changed(fresh);
      const bundle = (generation: bigint, signing: Authority, ...roots: Authority[]) =>
        create(TrustBundleSchema, {
          trustDomain: TRUST_DOMAIN,
          generation,
          signing: signing.id,
          roots: roots.flatMap((one) => [...one.roots()]),
        });
      return { fresh, timers, replica, bundle, old: old!, next: next! };
    }

    it('takes no roots back that are older than those in force, from a stream or with a certificate', async () => {
      const { fresh, timers, bundle, old, next } = await replaced();
      fresh.setTrust(bundle(11n, old, old, next));
      expect(fresh.current()!.roots).to.have.length(2);
      fresh.setTrust(bundle(10n, old, old));
      expect(fresh.current()!.roots, 'of a replica that is behind').to.have.length(2);
      const renewed = changed(fresh);
      timers.advance(7 * 3600_000);
      await renewed;
      expect(fresh.status().issued).to.equal(2);
      expect(fresh.current()!.roots, 'the same with a new certificate').to.have.length(2);
      fresh.setTrust(bundle(0n, old, old));
      expect(fresh.current()!.roots, 'a control plane that does not count').to.have.length(1);
    });

    it('asks for a leaf of the authority that signs by now, within a minute and not at once', async () => {
      const { fresh, timers, replica, bundle, old, next } = await replaced();
      fresh.setTrust(bundle(11n, old, old, next));
      timers.advance(RESIGN_WITHIN_MS);
      await turn();
      expect(fresh.status().issued, 'the same one signs').to.equal(1);
      Object.assign(replica, { signing: next, roots: [...old.roots(), ...next.roots()], generation: 12n });
      fresh.setTrust(bundle(12n, next, next, old));
      timers.advance(RESIGN_WITHIN_MS / 10);
      await turn();
      expect(fresh.status().issued, 'not at once').to.equal(1);
      const renewed = changed(fresh);
      timers.advance(RESIGN_WITHIN_MS);
      await renewed;
      expect(fresh.current()!.signing).to.equal(next.id);
      timers.advance(RESIGN_WITHIN_MS);
      await turn();
      expect(fresh.status().issued, 'once').to.equal(2);
    });

    it('asks again where the replica that was asked had not heard of it', async () => {
      const { fresh, timers, replica, bundle, old, next } = await replaced();
      fresh.setTrust(bundle(12n, next, next, old));
      let renewed = changed(fresh);
      timers.advance(RESIGN_WITHIN_MS);
      await renewed;
      expect(fresh.current()!.signing).to.equal(old.id);
      expect(fresh.current()!.roots, 'its roots are those of the stream').to.have.length(2);
      Object.assign(replica, { signing: next, roots: [...next.roots(), ...old.roots()], generation: 12n });
      renewed = changed(fresh);
      timers.advance(RESIGN_WITHIN_MS);
      await renewed;
      expect(fresh.current()!.signing).to.equal(next.id);
    });
  });
});
