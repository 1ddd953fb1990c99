// The Kubernetes objects that Weft reads, as they are on the wire: only the fields that matter here, all optional where the wire is.
// A null counts as an absent field. The types say what a well-formed object holds; translate/ trusts none of it (an object may come from an
// older or newer CRD than ours, or from a file), see translate/fields.ts.

import type { KubeObject, ObjectMeta } from '#kube/object.ts';
import type { StoredCondition } from './condition.ts';
import type { BackendObjectReference, ParentReference } from './references.ts';

export type { KubeObject, ObjectMeta };

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
