// What an installation consists of, in the order in which it goes away. Pure.

import { CHART_KINDS } from '#chart/chart-kinds.ts';
import {
  AUTHORITY_REPORTS,
  AUTHORITY_SECRET,
  AUTHORITY_STATE_SECRET,
  CONTROL_PLANE_NAME,
  SYSTEM_NAMESPACE,
  TRUST_CONFIG_MAP,
} from '#core/contract/names.ts';
import { SERVING_SECRET } from '#injector/serving-certificate.ts';
import { KINDS, type ServedKind } from '#kube/api.ts';
import { apiVersionOf } from '#objects/kind.ts';
import { install } from '../installation/objects.ts';

/** An object by its name; `where` is for asking, `kind` for printing. */
export interface RemovalTarget {
  readonly where: ServedKind;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

/** What an installation may have beside its defaults. */
const OPTIONAL = ['nodeAgent', 'networkPolicies', 'podMonitor'];

/**
 * Everything that the chart may render, the webhook first: so that no pod waits for an injector that is gone. Then the
 * programs and their rights, so that nothing is made again; then what they have made (`made`: what was found in other
 * namespaces or cluster-wide); the namespace last.
 */
export function removalOrder(made: readonly RemovalTarget[] = []): RemovalTarget[] {
  const chart = install({ ha: true, files: [], set: OPTIONAL.map((part) => `${part}.enabled=true`) })
    .map(
      ({ kind, metadata: { name, namespace } }): RemovalTarget => ({ where: CHART_KINDS.get(kind) as ServedKind, kind, namespace, name }),
    )
    .reverse();
  const own = (where: ServedKind, kind: string, name: string): RemovalTarget => ({ where, kind, namespace: SYSTEM_NAMESPACE, name });
  return [
    ...chart.filter(({ kind }) => kind !== 'Namespace'),
    own(KINDS.Lease, 'Lease', CONTROL_PLANE_NAME),
    own(KINDS.Secret, 'Secret', SERVING_SECRET),
    own(KINDS.Secret, 'Secret', AUTHORITY_SECRET),
    own(KINDS.Secret, 'Secret', AUTHORITY_STATE_SECRET),
    own(KINDS.ConfigMap, 'ConfigMap', AUTHORITY_REPORTS),
    own(KINDS.ConfigMap, 'ConfigMap', TRUST_CONFIG_MAP),
    ...made,
    ...chart.filter(({ kind }) => kind === 'Namespace'),
  ];
}

/** As much of the object as `kubectl delete -f -` needs. */
export function toIdentity({ where, kind, namespace, name }: RemovalTarget) {
  return { apiVersion: apiVersionOf(where), kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
}
