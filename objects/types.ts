// The Kubernetes objects that Weft reads, as they are on the wire: only the fields that matter here, all optional where the wire is.
// A null counts as an absent field. The types say what a well-formed object holds; translate/ trusts none of it (an object may come from an
// older or newer CRD than ours, or from a file), see translate/fields.ts.

import type { KubeObject, ObjectMeta } from '#kube/object.ts';

export type { KubeObject, ObjectMeta };

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** gateway.networking.k8s.io/v1 */
export interface GRPCRoute extends KubeObject {
  spec?: {
    parentRefs?: ParentReference[];
    hostnames?: string[];
    rules?: GRPCRouteRule[];
  };
  status?: RouteStatus;
}

export interface RouteStatus {
  /** At most 32, of all controllers together; an atomic list. */
  parents?: RouteParentEntry[];
}

/** One entry of a route's status. Entries with another controllerName are others'. */
export interface RouteParentEntry {
  parentRef?: ParentReference;
  /** "domain/path" */
  controllerName?: string;
  /** At most 8, of different types. */
  conditions?: StoredCondition[];
}

export interface ParentReference {
  /** Absent: gateway.networking.k8s.io. A Service has "" (Weft also takes "core"). */
  group?: string;
  /** Absent: Gateway. */
  kind?: string;
  /** Absent: the route's. */
  namespace?: string;
  name?: string;
  /** Of a Service: the name of a port. */
  sectionName?: string;
  /** Of a Service: the number of a port, not the target port. */
  port?: number;
}

export interface GRPCRouteRule {
  name?: string;
  matches?: GRPCRouteMatch[];
  filters?: GRPCRouteFilter[];
  backendRefs?: GRPCBackendRef[];
}

export interface GRPCRouteMatch {
  method?: {
    /** Exact (also when absent) or RegularExpression. */
    type?: string;
    service?: string;
    method?: string;
  };
  headers?: GRPCHeaderMatch[];
}

export interface GRPCHeaderMatch {
  type?: string;
  name?: string;
  value?: string;
}

export interface GRPCRouteFilter {
  /** RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, ExtensionRef. */
  type?: string;
  requestHeaderModifier?: HeaderModifierFilter;
  responseHeaderModifier?: HeaderModifierFilter;
  requestMirror?: RequestMirrorFilter;
  extensionRef?: { group?: string; kind?: string; name?: string };
}

export interface HeaderModifierFilter {
  set?: HeaderLine[];
  add?: HeaderLine[];
  remove?: string[];
}

export interface HeaderLine {
  name?: string;
  value?: string;
}

export interface RequestMirrorFilter {
  backendRef?: BackendObjectReference;
  /** 0 to 100; absent, with `fraction` absent too: 100. */
  percent?: number;
  /** An absent denominator is 100. */
  fraction?: { numerator?: number; denominator?: number };
}

export interface BackendObjectReference {
  /** Absent: "". */
  group?: string;
  /** Absent: Service. */
  kind?: string;
  /** Absent: the route's. */
  namespace?: string;
  name?: string;
  /** Of a Service: the number of a port; must be there. */
  port?: number;
}

export interface GRPCBackendRef extends BackendObjectReference {
  /** 0 to 1000000; absent: 1. */
  weight?: number;
  filters?: GRPCRouteFilter[];
}

/** gateway.networking.k8s.io/v1beta1 and v1 */
export interface ReferenceGrant extends KubeObject {
  spec?: {
    from?: { group?: string; kind?: string; namespace?: string }[];
    to?: { group?: string; kind?: string; name?: string }[];
  };
}

export const EXPERIMENTAL_GROUP = 'gateway.networking.x-k8s.io';

/** gateway.networking.x-k8s.io/v1alpha1, Gateway API 1.7 */
export interface XTelemetryPolicy extends KubeObject {
  spec?: {
    /** Of the policy's own namespace. */
    targetRefs?: { group?: string; kind?: string; name?: string }[];
    tracing?: PolicyTracing;
  };
  status?: { ancestors?: PolicyAncestorEntry[] };
}

export interface PolicyTracing {
  /** Enabled, Disabled, ImplementationDefault (also when absent). */
  mode?: string;
  /** Given with Enabled alone, as all that follows. */
  provider?: { backendRef?: BackendObjectReference; headers?: unknown[] };
  samplingRate?: Fraction;
  parentBasedSampling?: { mode?: string; samplingRate?: Fraction };
  serviceName?: string;
  spanName?: string;
  attributes?: { name?: string; sourceType?: string; literalValue?: string }[];
}

export interface Fraction {
  numerator?: number;
  /** Absent: 100. */
  denominator?: number;
}

/** One entry of a policy's status (GEP-713). Entries with another controllerName are others'. */
export interface PolicyAncestorEntry {
  ancestorRef?: ParentReference;
  controllerName?: string;
  conditions?: StoredCondition[];
}

/** metav1.Condition, without the time: that is given when it is written. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  /** At most 1024 characters, a CamelCase word. */
  reason: string;
  /** At most 32768 characters. */
  message: string;
  observedGeneration: number;
}

/** metav1.Condition as the API server keeps it. */
export interface StoredCondition {
  type?: string;
  status?: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
  /** RFC 3339, whole seconds: when `status` became what it is. */
  lastTransitionTime?: string;
}
