// What `weft check` knows of a cluster: the objects as they are on the wire, only the fields that are judged, and why something could not be read.
import type { InjectablePod, PodMetadata } from '#injector/pod.ts';
import type { Answer } from '../cluster/replicas.ts';

/** A read's outcome. What could not be read is a fact too. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

export interface Meta {
  name?: string;
  namespace?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface KubeCondition {
  type?: string;
  status?: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
}

/** apps/v1 */
export interface Deployment {
  metadata?: Meta;
  spec?: {
    replicas?: number;
    template?: { spec?: { containers?: { env?: { name?: string; value?: string }[] }[] } };
  };
  status?: { readyReplicas?: number; availableReplicas?: number; updatedReplicas?: number; conditions?: KubeCondition[] };
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: { exitCode?: number; reason?: string; message?: string };
}

export interface ContainerStatus {
  name?: string;
  ready?: boolean;
  started?: boolean;
  restartCount?: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

/** v1: what injection reads, and how the pod is doing. */
export interface Pod extends InjectablePod {
  metadata?: PodMetadata & { creationTimestamp?: string; deletionTimestamp?: string };
  status?: {
    phase?: string;
    conditions?: KubeCondition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

/** v1 */
export interface Namespace {
  metadata?: Meta;
}

/** apiextensions.k8s.io/v1 */
export interface Crd {
  metadata?: Meta;
  spec?: { names?: { kind?: string }; versions?: { name?: string; served?: boolean }[] };
}

/** admissionregistration.k8s.io/v1 */
export interface WebhookConfiguration {
  metadata?: Meta;
  webhooks?: {
    name?: string;
    failurePolicy?: string;
    clientConfig?: { caBundle?: string; service?: { namespace?: string; name?: string; port?: number } };
  }[];
}

/** discovery.k8s.io/v1 */
export interface EndpointSlice {
  metadata?: Meta;
  endpoints?: { addresses?: string[]; conditions?: { ready?: boolean } }[];
}

/** gateway.networking.k8s.io/v1 */
export interface Route {
  metadata?: Meta;
  spec?: { parentRefs?: { group?: string; kind?: string; namespace?: string; name?: string; port?: number; sectionName?: string }[] };
  status?: {
    parents?: {
      parentRef?: { group?: string; kind?: string; namespace?: string; name?: string; port?: number; sectionName?: string };
      controllerName?: string;
      conditions?: KubeCondition[];
    }[];
  };
}

/** What an injector pod showed in a TLS handshake. */
export interface Handshake {
  readonly pod: string;
  /** Value: '' when its certificate holds against the webhook's caBundle, else why it does not. */
  readonly verdict: Read<string>;
}

export interface Facts {
  /** Unix time in ms of the reading. */
  readonly nowMs: number;
  /** Of this command line. */
  readonly version: string;
  /** The API server as the user's configuration names it. */
  readonly server: string;
  readonly kubernetes: Read<{ gitVersion: string }>;
  readonly crds: Read<readonly Crd[]>;
  readonly namespaces: Read<readonly Namespace[]>;
  /** Of all namespaces, the system namespace's too. */
  readonly pods: Read<readonly Pod[]>;
  /** Of the system namespace. */
  readonly deployments: Read<readonly Deployment[]>;
  /** Undefined: it does not exist. */
  readonly webhook: Read<WebhookConfiguration | undefined>;
  /** Of the injector's Service. */
  readonly injectorEndpoints: Read<readonly EndpointSlice[]>;
  readonly handshakes: readonly Handshake[];
  /** Whether the authority's Secret exists. */
  readonly authority: Read<boolean>;
  readonly grpcRoutes: Read<readonly Route[]>;
  /** Of the control plane's pods that run. */
  readonly answers: readonly Answer[];
  /** "namespace/pod" → what its sidecar says at /readyz; asked of a few sidecars that are not ready. */
  readonly sidecarWords: ReadonlyMap<string, string>;
}
