// What many Services cost: the control plane's start and memory, the time of one changed endpoint to its subscriber,
// the memory of sidecars that have nothing to do with them.
// npx node test/cluster/measure/scale.ts [sizes, default 0,500,2000] [changes, default 20]   On a quiet machine;
// restarts the control plane. Five endpoints a Service, no pods.
import type { KubeClient } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { endpointSliceKind } from '#objects/endpoint-slice.ts';
import { serviceKind } from '#objects/service.ts';
import { type Measured, sleep } from '../../../bench/processes.ts';
import { Caller } from '../support/caller.ts';
import type { Item, PodItem } from '../support/objects.ts';
import { echoContainer, GRPC_PORT, INJECT } from '../support/workloads.ts';
import { measure, mebibytes, quantile, say } from './frame.ts';
import { emptyPod, sidecarOf, startPods } from './pods.ts';
import { controlPlane, restartControlPlane } from './restart.ts';

const NS = 'measure-scale';
const PODS = 'measure-scale-pods';
const SIZES = (process.argv[2] ?? '0,500,2000').split(',').map(Number);
const CHANGES = Number(process.argv[3] ?? 20);
const ENDPOINTS = 5;
const WRITERS = 8;
/** What a change leaves behind is collected after so long. */
const SETTLE_MS = 15_000;
const PAUSE_MS = 300;
const MOVING = 'moving';
/** kube-proxy leaves them alone: it is not what is measured, and would take the machine for minutes. */
const NOT_FOR_KUBE_PROXY = { 'service.kubernetes.io/service-proxy-name': 'nobody' };

await measure({ [NS]: {}, [PODS]: INJECT }, async (objects) => {
  const client = await connectKube({ kubeconfig: objects.kubeconfig });
  const echoes = ['echo-a', 'echo-b'].map((name) => ({
    ...emptyPod(PODS, name),
    spec: { containers: [echoContainer()], terminationGracePeriodSeconds: 1 },
  }));
  await startPods(objects, PODS, emptyPod(PODS, 'idle'), ...echoes);
  const addresses = Object.fromEntries(
    await Promise.all(echoes.map(async ({ metadata: { name } }) => [name, (await objects.get<PodItem>('pod', name, PODS))!.status.podIP!])),
  ) as Record<string, string>;
  await objects.apply(plainService(PODS, MOVING), { ...slice(PODS, MOVING, []), endpoints: at('echo-a', addresses) });
  const caller = await Caller.start(objects, PODS);
  await caller.until('an answer', { to: `${MOVING}:${GRPC_PORT}` }, ({ grpcStatus }) => grpcStatus === 0);
  const idle = await sidecarOf(objects, PODS, 'idle');
  const subscriber = await sidecarOf(objects, PODS, 'caller');
  let present = 0;
  for (const size of SIZES) {
    const startedMs = performance.now();
    await fill(client, present, size);
    say(`${size} Services (${size - present} made in ${seconds(performance.now() - startedMs)}), ${size * ENDPOINTS} endpoints`);
    present = size;
    await sleep(SETTLE_MS);
    const grown = await controlPlane(client);
    say(`  control plane that saw them come: ${mebibytes(grown.memory())}`);
    for (const sidecar of [idle, subscriber]) say(`  ${sidecar.name}: ${mebibytes(sidecar.memory())}`);
    await changes(client, caller, addresses);
    const { plane, tookMs, cpuMs } = await restartControlPlane(client);
    say(`  control plane, process start to ready: ${seconds(tookMs)}, ${Math.round(cpuMs)} ms of CPU; then ${mebibytes(plane.memory())}`);
    await sleep(SETTLE_MS);
    say(`  a while later: ${mebibytes(plane.memory())}`);
    const fresh = `fresh-${size}`;
    await startPods(objects, PODS, emptyPod(PODS, fresh));
    await sleep(SETTLE_MS);
    for (const sidecar of [idle, subscriber, await sidecarOf(objects, PODS, fresh)])
      say(`  ${sidecar.name}: ${mebibytes(sidecar.memory())}`);
  }
  await objects.must(['delete', 'namespace', NS, '--timeout=300s']);
  await sleep(SETTLE_MS);
  const last: Measured[] = [await controlPlane(client), idle, subscriber];
  for (const each of last) say(`after all are gone, ${each.name}: ${mebibytes(each.memory())}`);
  caller.close();
});
process.exit(0);

/** From the API server's answer until all of four kept connections are answered by the endpoint that is there now. */
async function changes(client: KubeClient, caller: Caller, addresses: Record<string, string>): Promise<void> {
  const poll = await caller.poll({ to: `${MOVING}:${GRPC_PORT}`, connections: 4, everyMs: 5 });
  const tookMs: number[] = [];
  for (let i = 0; i <= CHANGES; i++) {
    const pod = i % 2 === 0 ? 'echo-a' : 'echo-b';
    const shown = poll.shows(pod);
    await client.request('PATCH', { kind: endpointSliceKind, namespace: PODS, name: MOVING }, { body: { endpoints: at(pod, addresses) } });
    const answeredMs = performance.timeOrigin + performance.now();
    // The first makes sure of where it starts.
    if (i > 0) tookMs.push((await shown) - answeredMs);
    else await shown;
    await sleep(PAUSE_MS);
  }
  await poll.stop();
  const figures = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${quantile(tookMs, share).toFixed(1)} ms`);
  say(`  changed endpoint in force on four connections, ${CHANGES} changes: ${figures.join(', ')}`);
}

/** Makes the Services from one number up to another, each with its EndpointSlice. */
async function fill(client: KubeClient, from: number, to: number): Promise<void> {
  let next = from;
  const write = async (): Promise<void> => {
    while (next < to) {
      const i = next++;
      const name = `service-${i}`;
      const addresses = Array.from({ length: ENDPOINTS }, (_, k) => `10.200.${i % 250}.${1 + Math.floor(i / 250) * ENDPOINTS + k}`);
      await client.request('POST', { kind: serviceKind, namespace: NS }, { body: plainService(NS, name) });
      await client.request('POST', { kind: endpointSliceKind, namespace: NS }, { body: slice(NS, name, addresses) });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

/** Without a selector, so that no controller writes its endpoints. */
function plainService(namespace: string, name: string): Item {
  const labels = namespace === NS ? NOT_FOR_KUBE_PROXY : undefined;
  const ports = [{ name: 'grpc', port: GRPC_PORT, appProtocol: 'kubernetes.io/h2c' }];
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, labels }, spec: { ports } };
}

function slice(namespace: string, service: string, addresses: readonly string[]): Item {
  const labels = { 'kubernetes.io/service-name': service, ...(namespace === NS ? NOT_FOR_KUBE_PROXY : {}) };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: service, namespace, labels },
    addressType: 'IPv4',
    ports: [{ name: 'grpc', port: GRPC_PORT, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

function at(pod: string, addresses: Record<string, string>): object[] {
  return [{ addresses: [addresses[pod]], conditions: { ready: true }, targetRef: { kind: 'Pod', namespace: PODS, name: pod } }];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
