// How long a pod takes from created to Ready: without a sidecar, with one that loads its rules itself, and with one that
// the node agent captures; alternating. docs/decisions/0018 has the figures.
// npx node test/cluster/measure/captured-by.ts [pods of each kind]
import { NODE_AGENT_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { KubeClient } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { podKind } from '#objects/pod.ts';
import { install } from '../support/install.ts';
import type { Item, Objects, PodItem } from '../support/objects.ts';
import { echoContainer, INJECT } from '../support/workloads.ts';
import { measure, quantile, say } from './frame.ts';

const INJECTED = 'measure-injected';
const RUN = 'measure-captured-by';
const PODS = Number(process.argv[2] ?? 10);
const LONGEST_MS = 120_000;

type Shape = Pick<PodItem, 'spec'> & { readonly metadata: { readonly annotations?: Record<string, string> } };

const plain: Shape = { metadata: {}, spec: { containers: [echoContainer()], terminationGracePeriodSeconds: 1 } as never };

await measure({ [INJECTED]: INJECT, [RUN]: {} }, async (objects) => {
  const client = await connectKube({ kubeconfig: objects.kubeconfig });
  await install(objects);
  const container = await injected(objects);
  await install(objects, 'nodeAgent.enabled=true');
  await objects.must(['-n', SYSTEM_NAMESPACE, 'rollout', 'status', `daemonset/${NODE_AGENT_NAME}`, '--timeout=120s']);
  const kinds: Readonly<Record<string, Shape>> = { plain, container, agent: await injected(objects) };
  const tookMs = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
  // The first pod of a kind finds nothing in any cache.
  for (let i = 0; i <= PODS; i++) {
    for (const [kind, shape] of Object.entries(kinds)) {
      // The kubelet looks once a second: pods must not all begin at the same moment of it.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
      const took = await timeToReady(client, objects, `${kind}-${i}`, shape);
      if (i > 0) tookMs.get(kind)!.push(took);
    }
  }
  for (const [kind, values] of tookMs) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const all = [...values].sort((a, b) => a - b).map(seconds);
    say(`${kind}: created to Ready, median ${seconds(quantile(values, 0.5))}, mean ${seconds(mean)} s: ${all.join(' ')}`);
  }
});
process.exit(0);

/** The pod as injection makes it now; it can be made in a namespace that is not injected. */
async function injected(objects: Objects): Promise<Shape> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'shape', namespace: INJECTED }, spec: plain.spec };
  const made = JSON.parse(await objects.must(['create', '--dry-run=server', '-o', 'json', '-f', '-'], JSON.stringify(pod))) as PodItem & {
    spec: { volumes: { name: string }[] };
  };
  // What the API server adds to each pod is added again.
  const isOwn = ({ name }: { name: string }) => !name.startsWith('kube-api-access');
  const own = (list: object[] = []) =>
    (list as { volumeMounts?: { name: string }[] }[]).map((each) => ({ ...each, volumeMounts: (each.volumeMounts ?? []).filter(isOwn) }));
  const { containers, initContainers, volumes } = made.spec;
  const spec = { ...plain.spec, containers: own(containers), initContainers: own(initContainers), volumes: volumes.filter(isOwn) };
  return { metadata: { annotations: made.metadata.annotations }, spec: spec as never };
}

/** Milliseconds from the API server's answer to the event that says Ready, as a watch sees it. */
async function timeToReady(client: KubeClient, objects: Objects, name: string, { metadata, spec }: Shape): Promise<number> {
  const where = { kind: podKind, namespace: RUN };
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec };
  const created = await client.request<Item>('POST', where, { body });
  const createdMs = performance.now();
  const stop = new AbortController();
  const readyMs = await new Promise<number>((resolve, reject) => {
    const onEvent = ({ object }: { object: Record<string, unknown> }): void => {
      const { conditions = [] } = (object as PodItem).status ?? {};
      if (!conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
      resolve(performance.now());
      stop.abort();
    };
    const query = { fieldSelector: `metadata.name=${name}`, resourceVersion: created.metadata.resourceVersion! };
    client
      .watch(where, { query, idleMs: LONGEST_MS, signal: stop.signal, onEvent })
      .then(() => reject(new Error('the watch ended')), reject);
  });
  await objects.delete('pod', name, RUN, ['--wait=true']);
  return readyMs - createdMs;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
