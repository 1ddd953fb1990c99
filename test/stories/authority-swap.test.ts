// The authority is replaced while sidecars run: they get certificates of the new one as soon as its root is in their
// bundle, and need no restart.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { Credentials } from '#sidecar/control/credentials.ts';
import { ConfigStream } from '#sidecar/control/stream.ts';

const UID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'checkout-1', namespace: 'shop', uid: UID, annotations: { 'weft.dev/status': '{}' } },
  spec: { serviceAccountName: 'checkout', initContainers: [{ name: 'weft-proxy' }] },
  status: { phase: 'Running', podIP: '127.0.0.1' },
};

describe('an authority that is replaced', () => {
  let directory: string;
  let plane: ControlPlane;
  let credentials: Credentials;
  let stream: ConfigStream;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'weft-swap-'));
  });

  afterEach(async () => {
    stream.stop();
    credentials.stop();
    await plane.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const authority = (): Promise<Authority> => Authority.create({ trustDomain: 'cluster.local', now: Date.now });
  const start = (signing: Authority, port: number): Promise<ControlPlane> =>
    startControlPlane({
      authority: signing,
      verifyToken: async () => ({ namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', uid: UID }),
      host: '127.0.0.1',
      port,
      objects: [POD],
      log: silentLogger,
    });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  it('signs for the sidecars that run, and they come back', async () => {
    const [old, fresh] = await Promise.all([authority(), authority()]);
    const { port } = await connect(old);

    await plane.close();
    plane = await start(fresh, port);
    await until(() => !stream.connected);
    expect(credentials.status().issued).to.equal(1);
    writeFileSync(path.join(directory, 'roots.pem'), fresh.rootsPem());
    await until(() => stream.connected);
    expect(credentials.status().issued).to.equal(2);
    expect(credentials.current()!.roots.map((root) => root.equals(fresh.roots()[0]!))).to.deep.equal([true]);
  });

  it('signs for a sidecar that trusts it already and shows a certificate of the old one, which is trusted no more', async () => {
    const settings = { trustDomain: 'cluster.local', now: Date.now };
    const pem = await Authority.generate(settings);
    const fresh = await authority();
    const old = await Authority.load({ ...pem, extraRoots: fresh.rootsPem() }, settings);
    const { port } = await connect(old);
    expect(credentials.current()!.roots).to.have.length(2);
    await plane.close();
    plane = await start(fresh, port);
    await until(() => !stream.connected);
    await until(() => stream.connected);
    expect(credentials.status().issued).to.equal(2);
  });

  async function connect(old: Authority): Promise<ControlPlane> {
    plane = await start(old, 0);
    const { port } = plane;
    const bundle = path.join(directory, 'roots.pem');
    writeFileSync(path.join(directory, 'token'), 'x.y.z');
    writeFileSync(bundle, old.rootsPem());
    const around = { controlPlane: { host: '127.0.0.1', port }, timers: systemTimers, random: Math.random };
    const files = { tokenFile: path.join(directory, 'token'), trustBundleFile: bundle };
    credentials = new Credentials({ ...around, ...files, trustDomain: 'cluster.local' });
    stream = new ConfigStream({ ...around, credentials, version: 'test', namespace: 'shop', pod: 'checkout-1', apply: () => [] });
    stream.start();
    credentials.start();
    await until(() => stream.connected);
    return plane;
  }
});
