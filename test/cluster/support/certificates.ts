// cert-manager's controllers, run beside the cluster as a person's cluster would run them inside.
import { type ChildProcess, spawn } from 'node:child_process';
import { binary, certManagerCrds } from '../binaries.ts';
import { eventually, type Item, type Objects } from './objects.ts';

const GROUP = 'cert-manager.io';

interface Certificate extends Item {
  status?: { conditions?: { type: string; status: string }[]; revision?: number };
}

export class CertManager {
  private readonly objects: Objects;
  private readonly child: ChildProcess;
  private readonly crds: string;

  private constructor(objects: Objects, child: ChildProcess, crds: string) {
    this.objects = objects;
    this.child = child;
    this.crds = crds;
  }

  /** Installs its CRDs and starts it. */
  static async start(objects: Objects): Promise<CertManager> {
    const [program, crds] = await Promise.all([binary('cert-manager'), certManagerCrds()]);
    // Too large for the annotation of a client-side apply.
    await objects.must(['apply', '--server-side', '--force-conflicts', '-f', '-'], crds);
    for (const kind of ['issuers', 'certificates', 'certificaterequests'])
      await objects.must(['wait', '--for=condition=Established', `crd/${kind}.${GROUP}`, '--timeout=60s']);
    const child = spawn(program, [objects.kubeconfig], { stdio: 'ignore' });
    return new CertManager(objects, child, crds);
  }

  /** An issuer that signs with a self-signed root of this name, in this namespace. @returns its name */
  async issuer(namespace: string, root: string): Promise<string> {
    const of = (kind: string, name: string, spec: Record<string, unknown>): Item => ({
      apiVersion: `${GROUP}/v1`,
      kind,
      metadata: { name, namespace },
      spec,
    });
    await this.objects.apply(
      of('Issuer', 'self', { selfSigned: {} }),
      of('Certificate', root, {
        isCA: true,
        commonName: root,
        secretName: root,
        privateKey: { algorithm: 'RSA', size: 2048 },
        issuerRef: { name: 'self', kind: 'Issuer' },
      }),
      of('Issuer', root, { ca: { secretName: root } }),
    );
    await this.ready(namespace, root);
    return root;
  }

  /** Until a Certificate is ready. */
  async ready(namespace: string, name: string): Promise<Certificate> {
    return eventually(`Certificate ${name}`, async () => {
      const certificate = await this.objects.get<Certificate>('certificate', name, namespace);
      return certificate?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') && certificate;
    });
  }

  /** Has a Certificate renewed before its time, as `cmctl renew` does. */
  async renew(namespace: string, name: string): Promise<void> {
    const { status } = await this.ready(namespace, name);
    const issuing = { type: 'Issuing', status: 'True', reason: 'ManuallyTriggered', message: 'asked for by a test' };
    const conditions = [...(status?.conditions ?? []), { ...issuing, lastTransitionTime: new Date().toISOString() }];
    await this.objects.patch('certificate', name, namespace, { status: { conditions } }, 'merge', ['--subresource=status']);
  }

  /** Ends it, and takes its CRDs away with all objects of theirs. */
  async stop(): Promise<void> {
    await this.objects.must(['delete', '--ignore-not-found', '--timeout=60s', '-f', '-'], this.crds);
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode === null && this.child.kill('SIGTERM')) await ended;
  }
}
