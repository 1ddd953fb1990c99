// A whole control plane in one object: objects in, configuration and certificates out, over one gRPC port.

import { create } from '@bufbuild/protobuf';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { AuthorityInUse } from '#certs/in-use.ts';
import { ServerRotation } from '#certs/rotation.ts';
import { Certificates } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { Replicas } from '#core/contract/gen/weft/v1/replicas_pb.ts';
import { DEFAULT_TRACE_SAMPLING } from '#core/contract/trace-sampling.ts';
import type { Logger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import type { KubeObject } from '#kube/object.ts';
import { annotationProblems } from '#objects/annotations.ts';
import { fieldsOf, textOf } from '#objects/fields.ts';
import { splitKey } from '#objects/references.ts';
import { addAll, type Touched } from '#objects/touched.ts';
import { type GrpcPort, type GrpcPortDeps, openGrpcPort } from '../issue/grpc-port.ts';
import { peerOf } from '../issue/server-credentials.ts';
import { type IssueCounts, IssueService } from '../issue/service.ts';
import type { VerifyToken } from '../issue/token.ts';
import { type Progress, Publisher } from '../publish/publisher.ts';
import { configHandlers, configServiceDefinition } from '../publish/serve.ts';
import type { RouteState } from '../publish/standings.ts';
import type { Peer } from '../publish/subscriber.ts';
import { serviceDefinition } from '../publish/wire.ts';
import { type Follow, followerOf } from '../replicas/follow.ts';
import { Reporting } from '../replicas/reporting.ts';
import { ObjectStore } from '../store/object-store.ts';
import { podAddress } from '../translate/endpoints.ts';
import { PoliciesOfPods } from '../translate/policies/telemetry.ts';
import { translateService } from '../translate/service.ts';
import { workloadOfPod } from '../translate/workload.ts';

export interface ControlPlaneDeps {
  readonly authority: AuthorityInUse;
  readonly verifyToken: VerifyToken;
  /** Where the gRPC port listens. Port 0: a free one. */
  readonly host: string;
  readonly port: number;
  /** What there is at the start; it is in force before the first sidecar is served. */
  readonly objects?: Iterable<KubeObject>;
  /** A store that is filled already, instead of `objects`. What is changed in it directly must be handed to take(). */
  readonly store?: ObjectStore;
  /** The pod as its sidecar should know it; absent: by the Pod objects. Asked again after workloadsChanged(). */
  readonly workloadOf?: (peer: Peer) => Workload | undefined;
  readonly strictReferenceGrants?: boolean;
  /** Share of traces where an XTelemetryPolicy names a collector and no share. Default DEFAULT_TRACE_SAMPLING. */
  readonly defaultTraceSampling?: number;
  /** Called when routes are judged otherwise, and when a sidecar's state is another: see Publisher. */
  readonly onProgress?: (what: Progress) => void;
  /** Name of this pod, where there may be other replicas; absent: there are none. */
  readonly replica?: string;
  readonly log: Logger;
  /** Default: the system's. */
  readonly timers?: Timers;
  /** In [0, 1); spreads the renewals of our own certificate. Default Math.random. */
  readonly random?: () => number;
}

export interface ControlPlane {
  readonly host: string;
  readonly port: number;
  readonly store: ObjectStore;
  readonly publisher: Publisher;
  /** Unix ms: from then on nothing is signed. */
  readonly authorityNotAfterMs: number;
  readonly issued: Readonly<IssueCounts>;
  /** Makes these all the objects there are; sidecars get what differs for them. */
  setObjects(objects: Iterable<KubeObject>): void;
  apply(object: KubeObject): Touched;
  remove(kind: string, namespace: string | undefined, name: string): Touched;
  /** Brings to the sidecars what changes of the store have touched that were made past this interface. */
  take(touched: Touched): void;
  /** workloadOf() may answer differently, for any pod. setObjects, apply and remove see to this themselves. */
  workloadsChanged(): void;
  /**
   * For people: Services that could not be translated, resources that sidecars refuse, annotations that cannot be used.
   */
  problems(): string[];
  routeStates(): RouteState[];
  /** Asks another replica for what it counts. */
  readonly follow: Follow;
  /** Ends all streams and frees the port. Sidecars keep what they have. */
  close(): Promise<void>;
}

/** The port cannot be listened on, or there is no certificate to listen with. */
export class ControlPlaneStartError extends Error {
  override readonly name = 'ControlPlaneStartError';
}

/**
 * Translates all objects, then listens.
 * @throws ControlPlaneStartError when the address is taken or not ours, AuthorityError when the authority cannot sign
 */
export async function startControlPlane(settings: ControlPlaneDeps): Promise<ControlPlane> {
  const { authority, host, log, timers = systemTimers, random = Math.random } = settings;
  const { trustDomain } = authority;
  const store = settings.store ?? new ObjectStore();
  if (settings.objects !== undefined) store.replaceAll(settings.objects);
  const policies = new PoliciesOfPods(store, settings.defaultTraceSampling ?? DEFAULT_TRACE_SAMPLING);
  const options = { trustDomain, strictReferenceGrants: settings.strictReferenceGrants ?? false };
  const workloadOf =
    settings.workloadOf ??
    (({ namespace, pod }: Peer) => {
      const key = `${namespace}/${pod}`;
      return workloadOfPod(store.pod(key), store.namespace(namespace), trustDomain, policies.of(key), (node) => store.zoneOfNode(node));
    });
  const { replica } = settings;
  const onProgress = (what: Progress): void => {
    reporting.touch();
    settings.onProgress?.(what);
  };
  const publisher = new Publisher({
    translate: (key) => translateService(store, key, options),
    workloadOf,
    podUidOf: (pod) => textOf(fieldsOf(store.pod(pod)?.metadata).uid),
    trust: () => {
      const { generation, signing } = authority;
      return create(TrustBundleSchema, { trustDomain, roots: [...authority.roots()], generation: BigInt(generation), signing: signing.id });
    },
    podAt: (address) => podAddress(address, store, trustDomain),
    onProgress,
    timers,
    elapsedMs: () => performance.now(),
    log: log.child('publish'),
  });
  const identify = (call: Parameters<typeof peerOf>[0]) => peerOf(call, trustDomain, timers.now());
  const reporting = new Reporting({
    replica: replica ?? '',
    trustDomain,
    standings: () => publisher.standings(),
    identify,
    timers,
    log: log.child('replicas'),
  });
  await publisher.load(store.allKeys());

  const rotation = new ServerRotation({ authority, timers, random, log: log.child('certificates') });
  await rotation.start();
  const stopFollowing = authority.onChange(() => publisher.trustChanged());
  const issue = new IssueService({
    authority: () => authority,
    verifyToken: settings.verifyToken,
    now: () => timers.now(),
    onIssued: ({ namespace, pod }, notAfterMs) => {
      if (pod !== undefined) publisher.certified(namespace, pod, notAfterMs);
    },
    log: log.child('issue'),
  });
  const certificates = { definition: serviceDefinition(Certificates), handlers: issue.handlers() };
  const configuration = { definition: configServiceDefinition, handlers: configHandlers({ publisher, identify, timers, log }) };
  const counts = { definition: serviceDefinition(Replicas), handlers: reporting.handlers() };
  let port: GrpcPort;
  try {
    port = await listen({
      host,
      port: settings.port,
      rotation,
      forAll: [certificates, configuration],
      forMembers: replica === undefined ? [configuration] : [configuration, counts],
      timers,
    });
  } catch (error) {
    stopFollowing();
    rotation.stop();
    publisher.close();
    throw error;
  }

  const take = (touched: Touched): Touched => {
    const namespaces = policies.take(touched);
    addAll(namespaces, touched.namespaces);
    publisher.servicesChanged(touched.services);
    publisher.addressesChanged(touched.addresses);
    for (const pod of touched.pods) publisher.podChanged(...splitKey(pod));
    for (const namespace of namespaces) publisher.namespaceChanged(namespace);
    return touched;
  };
  let closing: Promise<void> | null = null;
  return {
    host,
    port: port.port,
    store,
    publisher,
    get authorityNotAfterMs() {
      return authority.signing.notAfterMs;
    },
    issued: issue.counts,
    setObjects: (objects) => {
      const touched = store.replaceAll(objects);
      policies.take(touched);
      publisher.servicesChanged(touched.services);
      publisher.addressesChanged(touched.addresses);
      publisher.workloadsChanged();
    },
    apply: (object) => take(store.apply(object)),
    remove: (kind, namespace, name) => take(store.remove(kind, namespace, name)),
    take,
    workloadsChanged: () => publisher.workloadsChanged(),
    problems: () => problemsOf(publisher, store),
    routeStates: () => publisher.routeStates(),
    follow: followerOf({ rotation, replica: replica ?? '', timers }),
    close: () => {
      stopFollowing();
      return (closing ??= close(port, publisher, rotation));
    },
  };
}

async function listen(deps: GrpcPortDeps): Promise<GrpcPort> {
  // grpc-js would write its own lines to standard error.
  setLogVerbosity(logVerbosity.NONE);
  try {
    return await openGrpcPort(deps);
  } catch (error) {
    const { host, port } = deps;
    const { code, message } = error as NodeJS.ErrnoException;
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const taken = code === 'EADDRINUSE' ? 'the address is in use' : message;
    throw new ControlPlaneStartError(`the control plane cannot listen on ${address}: ${taken}`, { cause: error });
  }
}

async function close(port: GrpcPort, publisher: Publisher, rotation: ServerRotation): Promise<void> {
  rotation.stop();
  publisher.close();
  await port.close();
}

function problemsOf(publisher: Publisher, store: ObjectStore): string[] {
  const failures = publisher.catalogue
    .failures()
    .map(({ key, reason }) => `Service ${key} cannot be translated (a defect of Weft): ${reason}`);
  const refusals = publisher.sidecars().flatMap((sidecar) => {
    const { namespace, pod } = sidecar.peer;
    return sidecar.delivery.rejected().map(({ name, reason }) => `the sidecar of ${namespace}/${pod} cannot use ${name}: ${reason}`);
  });
  const ignored = annotationProblems([...store.every('Namespace'), ...store.every('Pod'), ...store.routes()]);
  return [...failures, ...refusals, ...ignored].sort();
}
