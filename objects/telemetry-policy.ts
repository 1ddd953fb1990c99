// XTelemetryPolicy, gateway.networking.x-k8s.io/v1alpha1, Gateway API 1.7.
import type { KubeObject } from '#kube/object.ts';
import type { StoredCondition } from './condition.ts';
import { entriesOf, fieldsOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, present } from './metadata.ts';
import { type BackendObjectReference, namespaceOf, type ParentReference } from './references.ts';
import { addAll } from './touched.ts';

export const EXPERIMENTAL_GROUP = 'gateway.networking.x-k8s.io';

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

export const telemetryPolicyKind: FollowedKind<'XTelemetryPolicy', XTelemetryPolicy> = {
  kind: 'XTelemetryPolicy',
  group: EXPERIMENTAL_GROUP,
  version: 'v1alpha1',
  plural: 'xtelemetrypolicies',
  namespaced: true,
  optional: true,

  keep({ spec, status }, metadata) {
    const { generation, creationTimestamp, resourceVersion, uid } = metadata;
    const ancestors = entriesOf(fieldsOf(status).ancestors);
    return {
      metadata: present({ ...named(metadata), generation, creationTimestamp, resourceVersion, uid }),
      spec,
      status: ancestors.length === 0 ? undefined : { ancestors: [...ancestors] },
    };
  },

  matter({ metadata, spec }) {
    const { generation, creationTimestamp } = fieldsOf(metadata);
    return [generation, creationTimestamp, spec];
  },

  names: (policy) => ({ namespaces: [namespaceOf(policy)] }),
  touch: ({ names }, touched) => addAll(touched.policies, names('namespaces')),
  statuses: 'policies',
};
