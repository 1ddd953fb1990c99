// Turns Deployments and Pods of a directory into the pods that `weft run` starts.
import { dirname, isAbsolute, resolve } from 'node:path';
import { liveAnnotationKeys } from '#core/contract/annotations.ts';
import type { SidecarOptions } from '#injector/annotations.ts';
import { appAddress, inboundAddress } from './addresses.ts';
import { injectionAnnotationsOf, injectionOf, labelMistakes } from './injection.ts';
import { LeftOut } from './left-out.ts';
import {
  isTcp,
  type Manifest,
  type ManifestContainer,
  type ManifestMeta,
  type ManifestPodSpec,
  manifestKey,
  type SourcedManifest,
} from './manifests.ts';
import { podName, shortHash, templateHash } from './names.ts';
import type { PlannedProbe } from './probes.ts';

/** What the user wrote, before addresses: one entry per pod, replicas counted out. */
export interface WantedPod {
  /** "<namespace>/<pod name>". */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** The Deployment's name, or the pod's own: what people call it. */
  readonly workload: string;
  /** For messages: "Deployment shop/payment-v1". */
  readonly owner: string;
  /** Changes when the pod has to be replaced. */
  readonly revision: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Of its sidecar, by the annotations of namespace and pod. */
  readonly options: SidecarOptions;
  readonly serviceAccount: string;
  readonly spec: ManifestPodSpec;
  readonly file: string | undefined;
  /** Where the containers' commands start unless they say otherwise. */
  readonly directory: string;
}

export interface PlannedPort {
  readonly name: string;
  readonly port: number;
}

export interface PlannedContainer {
  readonly name: string;
  /** Program and arguments. */
  readonly argv: readonly string[];
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ports: readonly PlannedPort[];
  /** null: it is ready when its ports accept connections, or without ports when it stays. */
  readonly probe: PlannedProbe | null;
}

export interface PlannedPod extends WantedPod {
  readonly slot: number;
  /** Where its sidecar takes traffic for it: what EndpointSlices show. */
  readonly podAddress: string;
  /** Where its containers listen. */
  readonly appAddress: string;
  readonly uid: string;
  readonly containers: readonly PlannedContainer[];
  /** Ports served inbound: those of its containers and those that Services send to. Sorted. */
  readonly inboundPorts: readonly number[];
}

/**
 * Something that the user should know; the rest of the plan holds. `pod`: this pod (its key) would fail for certain if
 * it were started.
 */
export interface PlanProblem {
  readonly text: string;
  readonly file?: string;
  readonly pod?: string;
}

/**
 * Deployments × replicas, and bare Pods; sorted as the input. Manifests without a usable name are left to the reader of
 * files.
 */
export function wantedPods(manifests: readonly SourcedManifest[], baseDirectory: string): { pods: WantedPod[]; problems: PlanProblem[] } {
  const pods = new Map<string, WantedPod>();
  const problems: PlanProblem[] = [];
  const leftOut = new LeftOut();
  const namespaces = new Map(
    manifests.flatMap(({ object }) => (object.kind === 'Namespace' ? [[object.metadata?.name, object] as const] : [])),
  );
  for (const { object, file } of manifests) {
    const directory = file === undefined ? baseDirectory : dirname(file);
    const namespace = object.metadata?.namespace ?? 'default';
    const name = object.metadata?.name;
    if (!name) continue;
    if (object.kind === 'Namespace') problems.push(...labelMistakes(object).map((text) => ({ text: `Namespace ${name}: ${text}`, file })));
    const owner = `${object.kind} ${manifestKey(object)}`;
    const around = namespaces.get(namespace);
    const add = (podMeta: ManifestMeta, podSpec: ManifestPodSpec, pod: string, workload: string, revision: string) => {
      const key = `${namespace}/${pod}`;
      if (pods.has(key)) return;
      const injection = injectionOf(namespace, around, podMeta, podSpec);
      pods.set(key, {
        key,
        namespace,
        name: pod,
        workload,
        owner,
        revision,
        labels: podMeta.labels ?? {},
        annotations: podMeta.annotations ?? {},
        options: injection.options,
        serviceAccount: podSpec.serviceAccountName ?? 'default',
        spec: podSpec,
        file,
        directory,
      });
      if (podSpec.initContainers?.length) problems.push({ text: `${owner}: initContainers are not run`, file });
      for (const { on, text } of injection.mistakes)
        problems.push(on === 'pod' ? { text: `${owner}: ${text}`, file } : { text: `Namespace ${namespace}: ${text}` });
      leftOut.add(owner, file, [...injection.leftOut, ...notDoneHere(podSpec)]);
    };
    if (object.kind === 'Deployment') {
      const template = object.spec?.template ?? {};
      const replicas = replicaCount(object.spec?.replicas);
      const hash = templateHash(withNamespace(lasting(template), around));
      const labels = { ...template.metadata?.labels, 'pod-template-hash': hash };
      for (let i = 0; i < replicas; i++) add({ ...template.metadata, labels }, template.spec ?? {}, podName(name, hash, i), name, hash);
    } else if (object.kind === 'Pod') {
      add(
        object.metadata ?? {},
        object.spec ?? {},
        name,
        name,
        templateHash(withNamespace(lasting({ metadata: object.metadata, spec: object.spec }), around)),
      );
    }
  }
  // The same note for each replica is one note.
  problems.push(...leftOut.problems());
  const unique = [...new Map(problems.map((problem) => [problem.text, problem])).values()];
  return { pods: [...pods.values()], problems: unique };
}

/**
 * A template without the annotations that sidecars follow as they change: another value of these is no reason for other
 * pods.
 */
function lasting<T extends { metadata?: ManifestMeta }>(template: T): T {
  const { annotations, ...metadata } = template.metadata ?? {};
  const live = liveAnnotationKeys('Pod');
  if (live.every((key) => annotations?.[key] === undefined)) return template;
  const others = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => !live.includes(key)));
  return { ...template, metadata: Object.keys(others).length === 0 ? metadata : { ...metadata, annotations: others } };
}

/** What a pod is made from: where its namespace says something to injection, that too. */
function withNamespace(template: unknown, namespace: Manifest | undefined): unknown {
  const around = injectionAnnotationsOf(namespace);
  return Object.keys(around).length === 0 ? template : { template, around };
}

/** What a pod asks of the kubelet and a run does not do. */
function notDoneHere({ containers = [], restartPolicy = 'Always' }: ManifestPodSpec): string[] {
  const some = (field: keyof ManifestContainer) => containers?.some((container) => container?.[field]) ?? false;
  const texts = (['livenessProbe', 'startupProbe'] as const)
    .filter(some)
    .map((kind) => `${kind} is not asked here: a container is started again only when it ends`);
  if (some('lifecycle')) texts.push('lifecycle: its hooks are not run here');
  if (some('volumeMounts')) texts.push("volumeMounts are not mounted here: a container sees this machine's files");
  if (restartPolicy !== 'Always')
    texts.push(`restartPolicy ${restartPolicy} has no effect here: a container that ends is always started again`);
  return texts;
}

function replicaCount(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : 1;
}

/** The TCP ports that a pod's containers declare, by their names. */
export function declaredPorts(spec: ManifestPodSpec): PlannedPort[] {
  return (spec.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => isTcp(port) && typeof port.containerPort === 'number')
      .map((port) => ({ name: port.name ?? '', port: port.containerPort! })),
  );
}

/** A port number, or the number of the container port of that name; undefined if the pod has none. */
export function resolvePort(port: number | string | undefined, spec: ManifestPodSpec): number | undefined {
  if (typeof port === 'number') return port;
  if (port === undefined) return undefined;
  const named = declaredPorts(spec).find((declared) => declared.name === port);
  if (named) return named.port;
  return /^\d+$/.test(port) ? Number(port) : undefined;
}

/** Gives a pod its addresses; containers are added by the caller, which knows the Services. */
export function placePod(pod: WantedPod, prefix: string, slot: number) {
  const digest = shortHash(`${pod.key}/${pod.revision}`, 20);
  return { slot, podAddress: inboundAddress(prefix, slot), appAddress: appAddress(prefix, slot), uid: `weft-run-${digest}` };
}

/**
 * Where a container starts. A relative workingDir counts from the manifest's directory. An absolute one that is not on
 * this machine is a path of the image: the manifest's directory stands for it.
 */
export function workingDirectory(container: ManifestContainer, manifestDirectory: string, exists: (path: string) => boolean): string {
  const wanted = container.workingDir;
  if (!wanted) return manifestDirectory;
  if (!isAbsolute(wanted)) return resolve(manifestDirectory, wanted);
  return exists(wanted) ? wanted : manifestDirectory;
}
