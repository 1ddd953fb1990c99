// What a bare cluster gets before Weft: images, CoreDNS, the Gateway API's CustomResourceDefinitions.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { crds } from './binaries.ts';
import type { RunningCluster } from './cluster.ts';
import { must } from './exec.ts';
import { coreDnsImage, echoImage, shopImage, weftImage } from './image-list.ts';
import { loadImage } from './images.ts';

type Say = (line: string) => void;

const seconds = (sinceMs: number) => `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Loads what dist/ holds as the images of Weft and of the shop; unchanged ones are left. */
export async function loadOwnImages(directory: string, say: Say): Promise<void> {
  for (const image of [await weftImage(), await shopImage()]) {
    const startedAt = Date.now();
    const { imported, bytes } = await loadImage(directory, image);
    say(imported ? `loaded ${image.names[0]} (${megabytes(bytes)}) in ${seconds(startedAt)}` : `${image.names[0]} is loaded already`);
  }
}

/** Everything a bare cluster needs. Can be run again. @throws Error with what kubectl or ctr said */
export async function provision({ directory, kubectl, kubeconfig }: RunningCluster, say: Say): Promise<void> {
  const apply = (yaml: string) =>
    must(kubectl, ['--kubeconfig', kubeconfig, 'apply', '--server-side', '--force-conflicts', '-f', '-'], { input: yaml });
  await Promise.all([
    (async () => {
      await loadImage(directory, await coreDnsImage(say));
      await apply(readFileSync(path.join(import.meta.dirname, 'coredns.yaml'), 'utf8'));
      await loadImage(directory, await echoImage(say));
      await loadOwnImages(directory, say);
    })(),
    (async () => {
      await apply(await crds('experimental'));
      say('Gateway API CRDs applied');
    })(),
  ]);
  await must(kubectl, ['--kubeconfig', kubeconfig, '-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=60s']);
  await must(kubectl, ['--kubeconfig', kubeconfig, 'wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
}
