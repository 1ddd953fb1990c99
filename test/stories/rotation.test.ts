// Certificates that live for seconds, under load: renewed and swapped while calls run, and no call notices.
import net from 'node:net';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { firstState, promoted, withNext, withoutRetired } from '#control-plane/issue/authority-state.ts';
import { HeldAuthority, loadState } from '#control-plane/issue/held-authority.ts';
import { RESIGN_WITHIN_MS } from '#sidecar/control/credentials.ts';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { Load } from '../support/load.ts';
import { until } from '../support/until.ts';

const ROTATIONS = 2;
const HOUR_MS = 3600_000;

describe('certificates of four seconds', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({ leafLifetimeMs: 4000 });
  });
  after(() => echo.close());

  it('are renewed under load, and no call fails', async () => {
    const { mesh, caller } = echo;
    const issued = async (pod: string) => (await mesh.dump(pod)).certificate.issued;
    const load = new Load(caller, () => ({ question: { delayMs: 1 } }));
    let streaming = true;
    const streams = (async () => {
      const codes: number[] = [];
      while (streaming) codes.push((await caller.download({ count: 5, delayMs: 20 })).code);
      return codes;
    })();
    for (const pod of ['caller', 'v1', 'v2'])
      await until(async () => (await issued(pod)) > ROTATIONS, `${pod} has renewed its certificate ${ROTATIONS} times`);
    await load.more(100);
    streaming = false;
    expect(await load.stop()).to.deep.equal([]);
    expect(new Set(await streams)).to.deep.equal(new Set([0]));
    for (const pod of ['caller', 'v1', 'v2']) {
      const { certificate } = await mesh.dump(pod);
      expect(certificate.identity).to.equal(`spiffe://cluster.local/ns/shop/sa/${pod}`);
      expect(certificate.notAfterMs, pod).to.be.greaterThan(Date.now());
    }
  });
});

describe('certificates of an hour', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({ leafLifetimeMs: HOUR_MS });
  });
  after(() => echo.close());

  it('are drained when they are renewed: new calls go to new connections, and a stream on an old one goes on', async () => {
    const { mesh, callerOf } = echo;
    const caller = callerOf('caller', 'echo');
    const chat = caller.chat();
    expect(await chat.say('before')).to.not.equal(null);
    const opened = async () => Number(/^weft_upstream_connections (\d+)/m.exec(await mesh.admin('caller', '/metrics'))![1]);
    const issued = async (pod: string) => (await mesh.dump(pod)).certificate.issued;
    const before = await Promise.all(['caller', 'v1', 'v2'].map(issued));
    mesh.timers.push(0.56 * HOUR_MS);
    for (const [i, pod] of ['caller', 'v1', 'v2'].entries())
      await until(async () => (await issued(pod)) > before[i]!, `${pod} has a new one`);
    // At once, so that both endpoints get some.
    const codes = (await Promise.all(Array.from({ length: 20 }, () => caller.unary({ question: { delayMs: 50 } })))).map(
      ({ code }) => code,
    );
    expect(codes).to.deep.equal(Array(20).fill(0));
    expect(await chat.say('after')).to.not.equal(null);
    await until(async () => (await opened()) === 3, 'one new connection to each endpoint beside that of the stream');
    expect((await chat.finish()).code).to.equal(0);
    await until(async () => (await opened()) === 2, 'the old one ends with its stream');
  });

  it('outlive a control plane that is away when they are due, and are renewed when it is back', async () => {
    const { mesh, caller } = echo;
    const pods = ['caller', 'v1', 'v2'];
    const all = async () => (await Promise.all(pods.map((pod) => mesh.dump(pod)))).map(({ certificate }) => certificate);
    const load = new Load(caller, () => ({ question: { delayMs: 1 } }));
    await load.more(20);
    await mesh.stopControlPlane();
    // They are due in the middle of their life ± 10 % of a half.
    mesh.timers.push(0.56 * HOUR_MS);
    await until(async () => (await all()).every(({ failures }) => failures > 0), 'the renewals have failed');
    await load.more(20);
    await mesh.restartControlPlane();
    await until(async () => (await all()).every(({ issued }) => issued > 1), 'all certificates are renewed');
    await load.more(20);
    expect(await load.stop()).to.deep.equal([]);
  });
});

describe('an authority that is replaced', () => {
  const settings = { trustDomain: 'cluster.local', now: Date.now };
  let echo: EchoMesh;
  let authority: HeldAuthority;
  before(async () => {
    authority = new HeldAuthority(await loadState(firstState(await Authority.generate(settings), Date.now(), HOUR_MS), settings));
    echo = await startEchoMesh({ authority });
  });
  after(() => echo.close());

  it('signs for all under load, and no call fails at any step, on old connections or on new ones', async () => {
    const { mesh, caller } = echo;
    const progress = () => mesh.controlPlane.publisher.trustProgress();
    const use = async (state: HeldAuthority['state']): Promise<void> => {
      authority.use(await loadState(state, settings));
      await until(() => progress().behind === 0, 'all trust the roots');
      await load.more(50);
      expect((await caller.unary({ question: {} })).code).to.equal(0);
    };
    const load = new Load(caller, () => ({ question: { delayMs: 1 } }));
    await load.more(50);
    const old = authority.signing;
    await use(withNext(authority.state, await Authority.generate(settings), Date.now()));
    expect([authority.roots().length, authority.signing]).to.deep.equal([2, old]);
    await use(promoted(authority.state, old.rootsPem(), Date.now(), HOUR_MS));
    expect(progress().old).to.equal(3);
    // Each sidecar in its own time: for a while some have the new one, others the old one.
    for (let pushedMs = 0; pushedMs < RESIGN_WITHIN_MS; pushedMs += RESIGN_WITHIN_MS / 6) {
      mesh.timers.push(RESIGN_WITHIN_MS / 6);
      await load.more(20);
    }
    await until(() => progress().old === 0, 'all have a certificate of the new authority');
    await use(withoutRetired(authority.state, Date.now(), Infinity));
    for (const pod of ['caller', 'v1', 'v2']) {
      const { certificate } = await mesh.dump(pod);
      expect(certificate, pod).to.include({ issued: 2, failures: 0 });
    }
    expect(await load.stop()).to.deep.equal([]);
  });

  it('serves a sidecar that was away for all of it', async () => {
    const { mesh, caller } = echo;
    await mesh.stopControlPlane();
    const old = authority.signing;
    authority.use(await loadState(withNext(authority.state, await Authority.generate(settings), Date.now()), settings));
    authority.use(await loadState(promoted(authority.state, old.rootsPem(), Date.now(), HOUR_MS), settings));
    mesh.writeTrustBundle();
    await mesh.restartControlPlane();
    await until(() => mesh.controlPlane.publisher.trustProgress().connected === 3, 'all are back');
    await until(() => mesh.controlPlane.publisher.trustProgress().old === 0, 'all have a certificate of the new authority');
    expect((await caller.unary({ question: {} })).code).to.equal(0);
  });
});

describe('a certificate that has expired', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({ leafLifetimeMs: 3000 });
  });
  after(() => echo.close());

  it('makes the pod not ready and its calls UNAVAILABLE, both with the time; the next one makes it good', async () => {
    const { mesh, callerOf } = echo;
    expect(await mesh.admin('caller', '/readyz')).to.equal('ok\n');
    // It gets the configuration by a connection, and opens none to the endpoints before a call.
    const knock = net.connect(mesh.address('caller', 'echo'));
    await until(async () => (await mesh.dump('caller')).services.length > 0, 'the Service is known');
    knock.destroy();
    await mesh.stopControlPlane();
    const { notAfterMs } = (await mesh.dump('caller')).certificate;
    const ended = `certificate expired at ${new Date(notAfterMs).toISOString()}`;
    await until(
      async () => (await mesh.admin('caller', '/readyz')).startsWith(`${ended}, and there is no new one: `),
      'the pod is not ready, with the reason',
    );
    const expired = async (pod: string) => (await mesh.admin(pod, '/readyz')).startsWith('certificate expired at ');
    await until(async () => (await expired('v1')) && (await expired('v2')), 'nor are the others');
    const { code, details } = await callerOf('caller', 'echo').unary({ question: {} });
    expect(code).to.equal(14);
    expect(details).to.contain('own_certificate_expired').and.contain(`this sidecar's ${ended}`);
    expect(await mesh.metric('caller', 'weft_proxy_errors_total{error="own_certificate_expired"}')).to.equal(1);
    await mesh.restartControlPlane();
    for (const pod of ['caller', 'v1', 'v2']) {
      await until(async () => (await mesh.admin(pod, '/readyz')) === 'ok\n', `${pod} is ready again`);
    }
    // No endpoint was blamed: the very next call is served.
    expect((await callerOf('caller', 'echo').unary({ question: {} })).code).to.equal(0);
  });
});
