// The whole plan of a run, from manifests: which pods with which addresses, ports and environment; which Services and
// listeners. Pure.
import { create } from '@bufbuild/protobuf';
import { meshPorts } from '#control-plane/translate/ports.ts';
import { workloadOfPod } from '#control-plane/translate/workload.ts';
import {
  InboundPortSchema,
  type OutboundListener,
  OutboundListenerSchema,
  Protocol,
  type Workload,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Pod } from '#objects/pod.ts';
import type { Service } from '#objects/service.ts';
import { assignSlots, FIRST_POD, FIRST_SERVICE, LAST_POD, LAST_SERVICE, outboundAddress, type Slots } from './addresses.ts';
import { containerEnvironment, expand, type ReachableService, serviceVariables } from './environment.ts';
import { isTcp, type Manifest, type ManifestContainer, manifestKey, type ServiceSpec, type SourcedManifest } from './manifests.ts';
import {
  declaredPorts,
  type PlannedContainer,
  type PlannedPod,
  type PlanProblem,
  placePod,
  type WantedPod,
  wantedPods,
  workingDirectory,
} from './pods.ts';
import { portConflicts } from './ports.ts';
import { planProbe } from './probes.ts';
import { capturedPorts, podObject, servesPod, targetPortOf, withClusterIp } from './services.ts';

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
    probe: planProbe(container, env),
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
 * What the control plane reports to the pod's sidecar about its own pod: what it would on a cluster, and beside it the
 * explicit listeners and where the containers listen.
 */
export function workloadOf(pod: PlannedPod, plan: MeshPlan, namespaces: readonly Manifest[], settings: PlanSettings): Workload {
  const namespace = namespaces.find((object) => object.metadata?.name === pod.namespace);
  const known = workloadOfPod(podObject(pod, true) as Pod, namespace as Namespace | undefined, settings.trustDomain);
  return create(WorkloadSchema, {
    ...(known && withoutType(known)),
    inbound: capturedPorts(pod).map((port) =>
      create(InboundPortSchema, {
        port,
        protocol: inboundProtocol(port, pod, plan),
        listenAddress: pod.podAddress,
        appAddress: pod.appAddress,
      }),
    ),
    outbound: outboundListeners(pod.slot, plan.services, plan.memory.services, settings),
  });
}

function withoutType({ $typeName: _, ...fields }: Workload): Omit<Workload, '$typeName'> {
  return fields;
}

/** A port that a Service declares to carry TCP, read as for callers, is not taken for HTTP/2. */
function inboundProtocol(port: number, pod: PlannedPod, plan: MeshPlan): Protocol {
  const declared = plan.services.some((service) => {
    if (!servesPod(service, pod)) return false;
    const protocols = new Map(meshPorts(service as Service).map((meshPort) => [meshPort.port, meshPort.protocol]));
    return ((service.spec as ServiceSpec).ports ?? []).some(
      (each) => targetPortOf(each, pod) === port && protocols.get(each.port ?? 0) === Protocol.TCP,
    );
  });
  return declared ? Protocol.TCP : Protocol.UNSPECIFIED;
}
