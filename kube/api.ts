// The Kubernetes API as Weft sees it: raw JSON over paths, and errors that say what to do next. One interface for the
// control plane, the injector and the CLI; client.ts implements it, tests may put a real server behind it.

/** Where a kind is served. */
export interface ServedKind {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  /** Lower-case plural, as in paths: `grpcroutes`. */
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Which object, or which collection where `name` is absent. */
export interface ResourcePath {
  readonly kind: ServedKind;
  /** Absent: all namespaces (collections), or a cluster-wide object. */
  readonly namespace?: string;
  readonly name?: string;
  /** `status`, `token`, `log`, … */
  readonly subresource?: string;
}

export type PatchType = 'merge' | 'json' | 'apply';

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Of a PATCH; default merge. `apply` is server-side apply: give `query.fieldManager`. */
  readonly patch?: PatchType;
  /** Of an object only its metadata: what it holds does not come here. */
  readonly metadataOnly?: boolean;
  /** Default 10 000 ms, from the start to the last octet. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface WatchOptions {
  readonly query: Readonly<Record<string, string>>;
  /** Silence after which the connection counts as dead, in ms; bookmarks and events break it. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** The server has agreed to the watch. */
  readonly onOpen?: () => void;
  /** One line of the stream, parsed; a line that does not parse rejects the call. */
  readonly onEvent: (event: { type: string; object: Record<string, unknown> }) => void;
}

export interface KubeClient {
  /** For people: https://10.96.0.1:443. */
  readonly server: string;
  /** JSON in, JSON out. @throws KubeError */
  request<T = Record<string, unknown>>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: ResourcePath | string,
    options?: RequestOptions,
  ): Promise<T>;
  /** Resolves when the server ends the stream properly. @throws KubeError when it ends in any other way */
  watch(path: ResourcePath, options: WatchOptions): Promise<void>;
}

/** What a request ended with: an answer that is not 2xx, or no answer. */
export class KubeError extends Error {
  /** HTTP status; 0: there was no answer. */
  readonly status: number;
  /** metav1.Status.reason (NotFound, Conflict, Expired, Forbidden, …), or the system's error code. */
  readonly reason: string;
  /** What the server asked to wait, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status: number, reason: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The URL path of an object or collection, its parts escaped. */
export function pathOf({ kind, namespace, name, subresource }: ResourcePath): string {
  const parts = kind.group === '' ? ['api', kind.version] : ['apis', kind.group, kind.version];
  if (kind.namespaced && namespace !== undefined) parts.push('namespaces', namespace);
  parts.push(kind.plural);
  if (name !== undefined) parts.push(name);
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

function core(plural: string): ServedKind {
  return { group: '', version: 'v1', plural, namespaced: true };
}

/** Kinds that Weft reads or writes, beside those of objects/kinds.ts. */
export const KINDS = {
  Secret: core('secrets'),
  ConfigMap: core('configmaps'),
  Event: core('events'),
  LimitRange: core('limitranges'),
  ResourceQuota: core('resourcequotas'),
  XMesh: { group: 'gateway.networking.x-k8s.io', version: 'v1alpha1', plural: 'xmeshes', namespaced: false },
  Lease: { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', namespaced: true },
  ClusterTrustBundle: { group: 'certificates.k8s.io', version: 'v1beta1', plural: 'clustertrustbundles', namespaced: false },
  TokenReview: { group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews', namespaced: false },
  MutatingWebhookConfiguration: {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    plural: 'mutatingwebhookconfigurations',
    namespaced: false,
  },
  CustomResourceDefinition: { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', namespaced: false },
} as const satisfies Record<string, ServedKind>;
