// The authority of a running mesh is replaced, under load, without a restart: by Weft's own next one, by one of
// cert-manager's and by that one's renewal. No call fails.
import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { AUTHORITY_SECRET, CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, TRUST_CONFIG_MAP } from '#core/contract/names.ts';
import type { AuthorityView } from '#core/contract/view.ts';
import type { Caller } from '../support/caller.ts';
import { CertManager } from '../support/certificates.ts';
import { install, weft } from '../support/install.ts';
import { eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-rotation';
const SERVERS = ['first', 'second'];
const CALLERS = 4;
/** Of each of the two Deployments: with the callers 20 pods. */
const REPLICAS = 8;
const RPS = 100;
/** Renewals at once: a quarter of what is left of a leaf's life, at most. */
const LEAF_SECONDS = 120;
const CERTIFICATE = 'weft-issuer';
const STEP_MS = 120_000;

interface Standing {
  readonly authority: AuthorityView;
  readonly behind: readonly string[];
}

describe('The authority of a mesh of 20 pods under load', () => {
  const stage = scene({ [NS]: INJECT });
  let callers: Caller[];
  let loads: { stop(): Promise<{ total: { failed: number; ok: number; errors: object } }> }[];
  let first: AuthorityView;
  let certManager: CertManager | undefined;

  before(async function () {
    this.timeout(400_000);
    await install(stage.objects, `controlPlane.leafSeconds=${LEAF_SECONDS}`, 'controlPlane.replicas=2');
    for (const name of SERVERS)
      await stage.objects.apply(echo({ namespace: NS, name, replicas: REPLICAS }), service(NS, name, { version: name }));
    callers = await Promise.all(Array.from({ length: CALLERS }, (_, i) => stage.caller(NS, `caller-${i}`)));
    await stage.objects.rolledOut(NS, ...SERVERS);
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    for (const caller of callers)
      for (const name of SERVERS) await caller.until('an answer', to(name), ({ grpcStatus }) => grpcStatus === 0);
    first = await steady();
  });

  beforeEach(async () => {
    loads = await Promise.all(
      callers.flatMap((caller) => SERVERS.map((name) => caller.load({ ...to(name), rps: RPS / CALLERS / SERVERS.length }))),
    );
  });

  afterEach(async () => {
    await Promise.all(loads.map((load) => load.stop().catch(() => {})));
  });

  after(async function () {
    this.timeout(400_000);
    // Those that come after it find an authority of Weft's own, and one root.
    await stopCertManager();
    await must('rotate', '--take-over');
    expect((await signedBy('O=weft, CN=cluster.local')).managedBy).to.equal('Weft');
    await finish();
    await install(stage.objects);
  });

  it('is replaced by weft ca rotate and finish, and no call fails', async function () {
    this.timeout(300_000);
    const said = await must('rotate');
    expect(said).to.match(/^phase +(distributing|retiring)/m);
    const refused = await weft(stage.objects, ['ca', 'finish']);
    expect(refused.code, refused.stdout).to.equal(1);
    expect(refused.stderr).to.match(/does not sign yet|needed still/);
    const retiring = await eventually('the new authority to sign', async () => {
      const { authority, behind } = await standing();
      return authority.phase === 'retiring' && behind.length === 0 && authority;
    });
    expect(retiring.signing.id).to.not.equal(first.signing.id);
    expect(retiring.roots).to.equal(2);
    // A pod that starts while both are trusted.
    const late = await stage.caller(NS, 'late');
    await late.until('an answer', to('first'), ({ grpcStatus }) => grpcStatus === 0);
    late.close();
    await finish();
    expect((await standing()).authority.roots).to.equal(1);
    expect(await bundled()).to.deep.equal(['O=weft\nCN=cluster.local']);
    await allAnswered();
  });

  it('is replaced by a Certificate of cert-manager’s, and by its renewal, and no call fails', async function () {
    this.timeout(400_000);
    certManager = await CertManager.start(stage.objects);
    const issuer = await certManager.issuer(SYSTEM_NAMESPACE, 'mesh-root');
    await stage.objects.apply({
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: { name: CERTIFICATE, namespace: SYSTEM_NAMESPACE },
      spec: {
        secretName: AUTHORITY_SECRET,
        isCA: true,
        commonName: 'mesh issuer',
        duration: '8760h',
        renewBefore: '2160h',
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        usages: ['cert sign', 'crl sign', 'digital signature'],
        issuerRef: { name: issuer, kind: 'Issuer' },
      },
    } as Item);
    const taken = await signedBy('CN=mesh issuer');
    expect(taken.managedBy).to.equal(`cert-manager Certificate ${CERTIFICATE}`);
    expect(taken.signing.root).to.equal('CN=mesh-root');
    const refused = await weft(stage.objects, ['ca', 'rotate']);
    expect(refused.stderr).to.contain(`renewed by cert-manager Certificate ${CERTIFICATE}`);
    await finish();
    expect(await bundled()).to.deep.equal(['CN=mesh-root']);
    // A further root of a person's stays where cert-manager writes.
    const { certificate } = await Authority.generate({ trustDomain: 'elsewhere.test', now: Date.now });
    const further = Buffer.from(certificate).toString('base64');
    await stage.objects.patch('secret', AUTHORITY_SECRET, SYSTEM_NAMESPACE, { data: { 'extra-roots.pem': further } });
    await certManager.renew(SYSTEM_NAMESPACE, CERTIFICATE);
    await eventually('the renewed one to sign', async () => {
      const { authority } = await standing();
      return authority.phase === 'steady' && authority.signing.id !== taken.signing.id;
    });
    expect((await secret())!.data['extra-roots.pem']).to.equal(further);
    await allAnswered();
  });

  it('stays as it is where the Secret holds what cannot be used, and status and check say why', async function () {
    this.timeout(120_000);
    const before = (await standing()).authority;
    const { data } = (await secret())!;
    await stopCertManager();
    await stage.objects.must(
      ['replace', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: AUTHORITY_SECRET, namespace: SYSTEM_NAMESPACE },
        type: 'kubernetes.io/tls',
        data: { 'tls.crt': data['tls.crt'], 'tls.key': data['tls.key'] },
      }),
    );
    const { authority } = await eventually('it to be refused', async () => {
      const now = await standing();
      return now.authority.refused !== '' && now;
    });
    expect(authority.refused).to.contain('CN=mesh-root, is missing');
    expect(authority.signing).to.deep.equal(before.signing);
    const { stdout } = await weft(stage.objects, ['check', '-o', 'json']);
    expect(stdout).to.contain('CN=mesh-root, is missing');
    await allAnswered();
  });

  const to = (name: string) => ({ to: `${name}:7070` });

  async function must(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await weft(stage.objects, ['ca', ...words]);
    expect(code, stderr).to.equal(0);
    return stdout;
  }

  async function standing(): Promise<Standing> {
    const { code, stdout, stderr } = await weft(stage.objects, ['ca', 'status', '-o', 'json']);
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout) as Standing;
  }

  function steady(): Promise<AuthorityView> {
    return eventually('one authority', async () => {
      const { authority } = await standing();
      return authority.phase === 'steady' && authority;
    });
  }

  function signedBy(subject: string): Promise<AuthorityView> {
    return eventually(
      `${subject} to sign`,
      async () => {
        const { authority } = await standing();
        return authority.phase === 'retiring' && authority.signing.subject === subject && authority;
      },
      STEP_MS,
    );
  }

  /** Waits until all leaves are of the new authority, and drops the old root. */
  async function finish(): Promise<void> {
    await eventually('every sidecar to have a new certificate', async () => (await standing()).authority.leavesOfOld.length === 0, STEP_MS);
    // It refuses while a pod is not connected, be it for a moment.
    await eventually('finish to be possible', async () => (await weft(stage.objects, ['ca', 'finish'])).code === 0, STEP_MS);
    await steady();
  }

  async function allAnswered(): Promise<void> {
    const results = await Promise.all(loads.map((load) => load.stop()));
    const total = results.reduce((sum, { total: { ok } }) => sum + ok, 0);
    for (const { total: of } of results) expect(of.failed, JSON.stringify(of.errors)).to.equal(0);
    expect(total).to.be.greaterThan(RPS);
  }

  /** Subjects of the roots in a namespace's ConfigMap, once the leader has written them. */
  function bundled(): Promise<string[]> {
    return eventually('one root in the ConfigMap', async () => {
      const map = await stage.objects.get<Item & { data: Record<string, string> }>('configmap', TRUST_CONFIG_MAP, NS);
      const pems = map!.data['roots.pem']!.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)!;
      return pems.length === 1 && pems.map((pem) => new X509Certificate(pem).subject);
    });
  }

  async function secret(): Promise<(Item & { data: Record<string, string> }) | undefined> {
    return stage.objects.get<Item & { data: Record<string, string> }>('secret', AUTHORITY_SECRET, SYSTEM_NAMESPACE);
  }

  async function stopCertManager(): Promise<void> {
    await certManager?.stop();
    certManager = undefined;
  }
});
