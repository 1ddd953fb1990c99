// How long a pod takes from created to Ready, with a sidecar and without, alternating: medians and the slowest. With
// "rolling" the control plane is rolled all the time meanwhile.
// npx node test/cluster/measure/pod-ready.ts [pods of each kind] [rolling]
import { CONTROL_PLANE_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { KubeClient } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { podKind } from '#objects/pod.ts';
import type { Item, Objects, PodItem } from '../support/objects.ts';
import { echoContainer, INJECT } from '../support/workloads.ts';
import { measure, quantile, say } from './frame.ts';

const WITH = 'measure-ready-with';
const WITHOUT = 'measure-ready-without';
const PODS = Number(process.argv[2] ?? 10);
const ROLLING = process.argv[3] === 'rolling';
const LONGEST_MS = 120_000;

await measure({ [WITH]: INJECT, [WITHOUT]: {} }, async (objects) => {
  const client = await connectKube({ kubeconfig: objects.kubeconfig });
  const tookMs: Record<string, number[]> = { [WITH]: [], [WITHOUT]: [] };
  // The first pod of a kind finds nothing in any cache.
  for (const namespace of [WITH, WITHOUT]) await timeToReady(client, objects, namespace, 'warm');
  const roller = ROLLING ? roll(objects) : undefined;
  for (let i = 0; i < PODS; i++) {
    for (const namespace of [WITH, WITHOUT]) tookMs[namespace]!.push(await timeToReady(client, objects, namespace, `pod-${i}`));
  }
  const rolls = await roller?.stop();
  const [injected, plain] = [quantile(tookMs[WITH]!, 0.5), quantile(tookMs[WITHOUT]!, 0.5)];
  const slowest = [WITH, WITHOUT].map((namespace) => seconds(Math.max(...tookMs[namespace]!)));
  if (rolls !== undefined) say(`the control plane was rolled ${rolls} times`);
  say(
    `created to Ready, median of ${PODS}: ${seconds(injected)} with a sidecar, ${seconds(plain)} without: ${seconds(injected - plain)} more; ` +
      `slowest ${slowest.join(' and ')}`,
  );
});
process.exit(0);

/**
 * Milliseconds from the API server's answer to the request that creates it, to the event that says Ready, as a watch
 * sees it.
 */
async function timeToReady(client: KubeClient, objects: Objects, namespace: string, name: string): Promise<number> {
  const spec = { containers: [echoContainer()], terminationGracePeriodSeconds: 1 };
  const where = { kind: podKind, namespace };
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
  const created = await client.request<Item>('POST', where, { body });
  const createdMs = performance.now();
  const readyMs = await readyAt(client, namespace, name, created.metadata.resourceVersion!);
  await objects.delete('pod', name, namespace, ['--wait=true']);
  return readyMs - createdMs;
}

/** Rolls the control plane again and again. `stop` waits for the last time and gives how often it was. */
function roll(objects: Objects): { stop: () => Promise<number> } {
  let stopped = false;
  const rolled = (async () => {
    for (let times = 1; ; times++) {
      await objects.must(['rollout', 'restart', `deployment/${CONTROL_PLANE_NAME}`, '-n', SYSTEM_NAMESPACE]);
      await objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
      if (stopped) return times;
    }
  })();
  return {
    stop: () => {
      stopped = true;
      return rolled;
    },
  };
}

function readyAt(client: KubeClient, namespace: string, name: string, resourceVersion: string): Promise<number> {
  const stop = new AbortController();
  return new Promise((resolve, reject) => {
    const onEvent = ({ object }: { object: Record<string, unknown> }): void => {
      const { conditions = [] } = (object as PodItem).status ?? {};
      if (!conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
      resolve(performance.now());
      stop.abort();
    };
    const query = { fieldSelector: `metadata.name=${name}`, resourceVersion };
    client
      .watch({ kind: podKind, namespace }, { query, idleMs: LONGEST_MS, signal: stop.signal, onEvent })
      .then(() => reject(new Error('the watch ended')), reject);
  });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
