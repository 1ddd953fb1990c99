// How long a pod takes from created to Ready, with a sidecar and without, alternating; medians.
// npx node test/cluster/measure/pod-ready.ts [pods of each kind]
import { eventually, type Item, type Objects, type PodItem } from '../support/objects.ts';
import { echoContainer, INJECT } from '../support/workloads.ts';
import { measure, quantile, say } from './frame.ts';

const WITH = 'measure-ready-with';
const WITHOUT = 'measure-ready-without';
const PODS = Number(process.argv[2] ?? 10);

await measure({ [WITH]: INJECT, [WITHOUT]: {} }, async (objects) => {
  const tookMs: Record<string, number[]> = { [WITH]: [], [WITHOUT]: [] };
  // The first pod of a kind finds nothing in any cache.
  for (const namespace of [WITH, WITHOUT]) await timeToReady(objects, namespace, 'warm');
  for (let i = 0; i < PODS; i++) {
    for (const namespace of [WITH, WITHOUT]) tookMs[namespace]!.push(await timeToReady(objects, namespace, `pod-${i}`));
  }
  const [injected, plain] = [quantile(tookMs[WITH]!, 0.5), quantile(tookMs[WITHOUT]!, 0.5)];
  say(
    `created to Ready, median of ${PODS}: ${seconds(injected)} with a sidecar, ${seconds(plain)} without: ${seconds(injected - plain)} more`,
  );
});
process.exit(0);

/** Milliseconds from the request that creates it to the event that says Ready, as one watch sees it. */
async function timeToReady(objects: Objects, namespace: string, name: string): Promise<number> {
  const pod: Item = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: { containers: [echoContainer()], terminationGracePeriodSeconds: 1 },
  };
  const startedMs = performance.now();
  await objects.apply(pod);
  await objects.must(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=120s']);
  const tookMs = performance.now() - startedMs;
  await objects.delete('pod', name, namespace, ['--wait=false']);
  await eventually('the pod to be gone', async () => (await objects.get<PodItem>('pod', name, namespace)) === undefined);
  return tookMs;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
