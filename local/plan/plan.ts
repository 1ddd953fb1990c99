// The whole plan of a run, from manifests: which pods with which addresses, ports and environment; which Services and
// listeners. Pure.
import { create } from '@bufbuild/protobuf';
import { telemetryOf } from '#control-plane/translate/workload.ts';
import {
  InboundPortSchema,
  MtlsMode,
  type OutboundListener,
  OutboundListenerSchema,
  Protocol,
  type Workload,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { LABEL_MTLS } from '#core/contract/names.ts';
import { assignSlots, FIRST_POD, FIRST_SERVICE, LAST_POD, LAST_SERVICE, outboundAddress, type Slots } from './addresses.ts';
import { containerEnvironment, expand, type ReachableService, serviceVariables } from './environment.ts';
import { isTcp, type Manifest, type ManifestContainer, manifestKey, type ServiceSpec, type SourcedManifest } from './manifests.ts';
import {
  declaredPorts,
  type PlannedContainer,
  type PlannedPod,
  type PlanProblem,
  placePod,
  planProbe,
  type WantedPod,
  wantedPods,
  workingDirectory,
} from './pods.ts';
import { portConflicts } from './ports.ts';
import { servesPod, targetPortOf, withClusterIp } from './services.ts';

// Listeners that an unprivileged process may not open move up by this much; the published variables say so.
const PRIVILEGED_SHIFT = 10_000;

export interface PlanSettings {
  /** First two numbers of the run's addresses, e.g. "127.77". */
  readonly prefix: string;
  /** Lowest port that this process may listen on. */
  readonly lowestPort: number;
  readonly trustDomain: string;
  /** Directory of manifests whose file is not known. */
  readonly directory: string;
  readonly exists: (path: string) => boolean;
}

/** What an earlier plan gave away, so that nothing moves. */
export interface PlanMemory {
  readonly pods: Slots;
  readonly services: Slots;
}

export interface MeshPlan {
  readonly pods: readonly PlannedPod[];
  /** All Services, with cluster IPs. */
  readonly services: readonly Manifest[];
  readonly problems: readonly PlanProblem[];
  readonly memory: PlanMemory;
}

/**
 * @param keepPods keys of pods that are still stopping: their numbers are not given away
 */
export function planMesh(
  manifests: readonly SourcedManifest[],
  settings: PlanSettings,
  memory: PlanMemory = { pods: new Map(), services: new Map() },
  keepPods: ReadonlySet<string> = new Set(),
): MeshPlan {
  const { pods: wanted, problems } = wantedPods(manifests, settings.directory);
  const servicesIn = manifests.map(({ object }) => object).filter((object) => object.kind === 'Service' && object.metadata?.name);
  const reachable = servicesIn.filter((service) => service.spec?.type !== 'ExternalName');
  const serviceSlots = assignSlots(memory.services, reachable.map(manifestKey), { first: FIRST_SERVICE, last: LAST_SERVICE });
  const podSlots = assignSlots(
    memory.pods,
    wanted.map((pod) => pod.key),
    { first: FIRST_POD, last: LAST_POD },
    keepPods,
  );
  for (const key of podSlots.left) problems.push({ text: `pod ${key} is not run: one run has room for ${LAST_POD} pods` });
  for (const key of serviceSlots.left)
    problems.push({ text: `Service ${key} cannot be called: one run has room for ${LAST_SERVICE - FIRST_SERVICE + 1} Services` });
  const services = servicesIn.map((service) => withClusterIp(service, settings.prefix, serviceSlots.slots));
  const pods: PlannedPod[] = [];
  for (const pod of wanted) {
    const slot = podSlots.slots.get(pod.key);
    if (slot === undefined) continue;
    const planned = planPod(pod, slot, services, serviceSlots.slots, settings, problems);
    if (planned) pods.push(planned);
  }
  problems.push(...portConflicts(pods, settings.lowestPort));
  return { pods, services, problems, memory: { pods: podSlots.slots, services: serviceSlots.slots } };
}

function planPod(
  pod: WantedPod,
  slot: number,
  services: readonly Manifest[],
  serviceSlots: Slots,
  settings: PlanSettings,
  problems: PlanProblem[],
): PlannedPod | null {
  const placed = placePod(pod, settings.prefix, slot);
  const containers = pod.spec.containers ?? [];
  const silent = containers.filter((container) => !container.command?.length);
  if (containers.length === 0 || silent.length > 0) {
    const what = containers.length === 0 ? 'no containers' : `no command for container ${silent[0].name ?? ''}`;
    const why = `images are not run here: give the command that starts it on this machine`;
    problems.push({ text: `${pod.owner} has ${what}; ${why}`, file: pod.file });
    return null;
  }
  const listeners = outboundListeners(slot, services, serviceSlots, settings);
  const variables = serviceVariables(reachableServices(services, listeners), pod.namespace);
  const facts = { ...pod, address: placed.appAddress, uid: placed.uid };
  const plannedContainers = containers.map((container): PlannedContainer => {
    const environment = containerEnvironment(container, variables, facts);
    for (const text of environment.problems)
      problems.push({ text: `${pod.owner}, container ${container.name ?? ''}: ${text}`, file: pod.file });
    return planContainer(container, pod, environment.env, settings);
  });
  const targets = services
    .filter((service) => servesPod(service, pod))
    .flatMap((service) => ((service.spec as ServiceSpec).ports ?? []).filter(isTcp).map((port) => targetPortOf(port, pod)));
  const ports = new Set([...declaredPorts(pod.spec).map(({ port }) => port), ...targets.filter((port) => port !== undefined)]);
  return { ...pod, ...placed, containers: plannedContainers, inboundPorts: [...ports].sort((a, b) => a - b) };
}

function planContainer(
  container: ManifestContainer,
  pod: WantedPod,
  env: Record<string, string>,
  settings: PlanSettings,
): PlannedContainer {
  return {
    name: container.name ?? 'container',
    argv: [...(container.command ?? []), ...(container.args ?? [])].map((word) => expand(String(word), env)),
    directory: workingDirectory(container, pod.directory, settings.exists),
    env,
    ports: declaredPorts({ containers: [container] }),
    probe: planProbe(container.readinessProbe, pod.spec),
  };
}

/** One listener per Service port: the addresses of a pod that stand for all Services of the mesh. */
function outboundListeners(slot: number, services: readonly Manifest[], serviceSlots: Slots, settings: PlanSettings): OutboundListener[] {
  return services.flatMap((service) => {
    const number = serviceSlots.get(manifestKey(service));
    if (number === undefined) return [];
    const [namespace, name] = manifestKey(service).split('/');
    return ((service.spec as ServiceSpec).ports ?? [])
      .filter((port) => isTcp(port) && typeof port.port === 'number')
      .map((port) =>
        create(OutboundListenerSchema, {
          address: outboundAddress(settings.prefix, slot, number),
          port: port.port! < settings.lowestPort ? port.port! + PRIVILEGED_SHIFT : port.port!,
          namespace,
          service: name,
          servicePort: port.port!,
        }),
      );
  });
}

function reachableServices(services: readonly Manifest[], listeners: readonly OutboundListener[]): ReachableService[] {
  return services.flatMap((service) => {
    const [namespace, name] = manifestKey(service).split('/');
    const own = listeners.filter((listener) => listener.namespace === namespace && listener.service === name);
    if (own.length === 0) return [];
    const names = new Map(((service.spec as ServiceSpec).ports ?? []).map((port) => [port.port, port.name ?? '']));
    return [{ namespace, name, address: own[0].address, ports: own.map((l) => ({ name: names.get(l.servicePort) ?? '', port: l.port })) }];
  });
}

/**
 * What the control plane tells the pod's sidecar about its own pod: identity, explicit listeners, where the containers
 * listen.
 */
export function workloadOf(pod: PlannedPod, plan: MeshPlan, namespaces: readonly Manifest[], settings: PlanSettings): Workload {
  const namespace = namespaces.find((object) => object.metadata?.name === pod.namespace);
  const mode =
    pod.labels[LABEL_MTLS] ??
    pod.annotations[LABEL_MTLS] ??
    namespace?.metadata?.labels?.[LABEL_MTLS] ??
    namespace?.metadata?.annotations?.[LABEL_MTLS];
  return create(WorkloadSchema, {
    namespace: pod.namespace,
    pod: pod.name,
    name: pod.workload,
    serviceAccount: pod.serviceAccount,
    identity: `spiffe://${settings.trustDomain}/ns/${pod.namespace}/sa/${pod.serviceAccount}`,
    mtls: mode === 'strict' ? MtlsMode.STRICT : MtlsMode.PERMISSIVE,
    inbound: pod.inboundPorts.map((port) =>
      create(InboundPortSchema, {
        port,
        protocol: inboundProtocol(port, pod, plan),
        listenAddress: pod.podAddress,
        appAddress: pod.appAddress,
      }),
    ),
    outbound: outboundListeners(pod.slot, plan.services, plan.memory.services, settings),
    telemetry: telemetryOf({ kind: 'Pod', metadata: { annotations: { ...pod.annotations } } }, namespace),
  });
}

/**
 * Only a declared TCP has to be known before the first byte: a server that speaks first would wait for the detection
 * for ever.
 */
function inboundProtocol(port: number, pod: PlannedPod, plan: MeshPlan): Protocol {
  const opaque = plan.services.some(
    (service) =>
      servesPod(service, pod) &&
      ((service.spec as ServiceSpec).ports ?? []).some(
        (declared) =>
          targetPortOf(declared, pod) === port &&
          (declared.appProtocol === 'tcp' || (!declared.appProtocol && /^tcp(-|$)/.test(declared.name ?? ''))),
      ),
  );
  return opaque ? Protocol.TCP : Protocol.UNSPECIFIED;
}
