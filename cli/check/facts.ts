// What `weft check` knows of a cluster: the objects as they are on the wire, only the fields that are judged, and why
// something could not be read.
import type { ObjectMeta } from '#kube/object.ts';
import type { EndpointSlice } from '#objects/endpoint-slice.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Route } from '#objects/route.ts';
import type { Service } from '#objects/service.ts';
import type { ClusterPod, Deployment } from '../cluster/objects.ts';
import type { ReplicaAnswer } from '../cluster/replicas.ts';

/** A read's outcome. What could not be read is a fact too. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** apiextensions.k8s.io/v1 */
export interface Crd {
  metadata?: ObjectMeta;
  spec?: { names?: { kind?: string }; versions?: { name?: string; served?: boolean }[] };
}

/** admissionregistration.k8s.io/v1 */
export interface InjectionWebhook {
  metadata?: ObjectMeta;
  webhooks?: {
    name?: string;
    failurePolicy?: string;
    rules?: { operations?: string[] }[];
    clientConfig?: { caBundle?: string; service?: { namespace?: string; name?: string; port?: number } };
  }[];
}

/** v1 */
export interface LimitRange {
  metadata?: ObjectMeta;
  spec?: { limits?: { type?: string; max?: Record<string, string | number> }[] };
}

/** v1 */
export interface ResourceQuota {
  metadata?: ObjectMeta;
  spec?: { hard?: Record<string, string | number> };
  status?: { hard?: Record<string, string | number>; used?: Record<string, string | number> };
}

/** A Deployment, StatefulSet or DaemonSet of apps/v1: its own words and those of its template. */
export interface PodOwner {
  kind: string;
  metadata?: ObjectMeta;
  template?: Pick<ObjectMeta, 'labels' | 'annotations'>;
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
  readonly pods: Read<readonly ClusterPod[]>;
  /** Of all namespaces. */
  readonly workloads: Read<readonly PodOwner[]>;
  readonly limitRanges: Read<readonly LimitRange[]>;
  readonly quotas: Read<readonly ResourceQuota[]>;
  /** Of the system namespace. */
  readonly deployments: Read<readonly Deployment[]>;
  /** Undefined: it does not exist. */
  readonly webhook: Read<InjectionWebhook | undefined>;
  /** Of the injector's Service. */
  readonly injectorEndpoints: Read<readonly EndpointSlice[]>;
  readonly handshakes: readonly Handshake[];
  /** Whether the authority's Secret exists. */
  readonly authority: Read<boolean>;
  /** Of every kind that is served, with their kinds. */
  readonly routes: Read<readonly Route[]>;
  /** Of all namespaces: their names alone. */
  readonly services: Read<readonly Service[]>;
  /** Of the control plane's pods that run. */
  readonly answers: readonly ReplicaAnswer[];
  /** "namespace/pod" → what its sidecar says at /readyz; asked of a few sidecars that are not ready. */
  readonly sidecarWords: ReadonlyMap<string, string>;
}
