// Weft's own installation, as a person does it: `weft install | kubectl apply -f -`; and `weft` of the build under
// test.
import path from 'node:path';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SIDECAR_CONTAINER, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { formerInjectorsGone, manifests } from '../install.ts';
import { type Answer, eventually, type Objects, type PodItem, runProgram } from './objects.ts';
import { CALLER_IMAGE, echoContainer, INJECT } from './workloads.ts';

const WEFT = path.resolve(import.meta.dirname, '../../../dist/weft.mjs');

/** Runs `weft` against the cluster. */
export function weft(objects: Objects, args: readonly string[], input?: string): Promise<Answer> {
  return runProgram(process.execPath, [WEFT, ...args], { KUBECONFIG: objects.kubeconfig, NO_COLOR: '1' }, input);
}

/**
 * Installs, or installs again with other values (`key=value`), and waits until both programs run and pods are injected.
 * @returns what kubectl says of each object
 */
export async function install(objects: Objects, ...values: string[]): Promise<string> {
  const args = values.flatMap((value) => ['--set', value]);
  const said = await objects.must(['apply', '-f', '-'], await manifests({ image: CALLER_IMAGE, args }));
  await objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME, INJECTOR_NAME);
  await formerInjectorsGone((args) => objects.must(['-n', SYSTEM_NAMESPACE, ...args]));
  await injectionWorks(objects);
  return said;
}

/**
 * Waits until the API server reaches the webhook: an injector that is Ready is reached only when the node's rules know
 * it, and pods start without until then.
 */
export async function injectionWorks(objects: Objects): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'e2e-probe', namespace: 'default', labels: INJECT },
    spec: { containers: [echoContainer()] },
  };
  await eventually('pods to be injected', async () => {
    const shown = await objects.must(['create', '--dry-run=server', '-o', 'json', '-f', '-'], JSON.stringify(pod));
    return (JSON.parse(shown) as PodItem).spec.initContainers?.some(({ name }) => name === SIDECAR_CONTAINER);
  });
}
