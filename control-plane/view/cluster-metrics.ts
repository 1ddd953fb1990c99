// Metrics of what ties the control plane to the API server.
import type { AuthorityView } from '#core/contract/view.ts';
import { counters, type Family, gauge } from '#core/program/exposition.ts';
import type { ReflectorStatus } from '#kube/reflector.ts';
import type { ReviewCounts } from '../issue/token-review.ts';
import type { StatusCounts } from '../lead/status-writer.ts';

interface Followed {
  readonly kind: string;
  readonly status: ReflectorStatus;
}

export interface ClusterFigures {
  /** This replica leads. */
  readonly leader: boolean;
  readonly followed: readonly Followed[];
  readonly statuses: StatusCounts;
  readonly reviews: ReviewCounts;
  readonly unknownReplicas: number;
  readonly authority: AuthorityView | null;
  /** Unix ms. */
  readonly nowMs: number;
}

export function clusterMetrics({ leader, followed, statuses, reviews, unknownReplicas, authority, nowMs }: ClusterFigures): Family[] {
  const byKind = (of: (status: ReflectorStatus) => number): [string, number][] => followed.map(({ kind, status }) => [kind, of(status)]);
  const gauges = (name: string, help: string, values: readonly [string, number][]): Family => ({
    name,
    type: 'gauge',
    help,
    samples: values.map(([kind, value]) => ({ labels: { kind }, value })),
  });
  return [
    gauge('weft_control_plane_leader', 'Whether this replica writes statuses and trust bundles.', leader ? 1 : 0),
    gauge(
      'weft_control_plane_authority_refused',
      'Whether the authority in the Secret cannot be used, so that the one before it goes on; of the leader.',
      authority !== null && authority.refused !== '' ? 1 : 0,
    ),
    gauge(
      'weft_control_plane_authority_waiting_seconds',
      'Time that the next authority has waited until all trust its root; 0: none waits.',
      authority === null || authority.sinceMs === 0 ? 0 : Math.max(0, nowMs - authority.sinceMs) / 1000,
    ),
    gauge(
      'weft_control_plane_unknown_replicas',
      'Other replicas of which the leader does not know what their sidecars run.',
      unknownReplicas,
    ),
    gauges(
      'weft_control_plane_reflector_synced',
      'Whether all objects of a kind are known.',
      byKind(({ synced }) => (synced ? 1 : 0)),
    ),
    gauges(
      'weft_control_plane_reflector_failing',
      'Whether a kind cannot be followed now; what is known of it stays in force.',
      byKind(({ lastError }) => (lastError === '' ? 0 : 1)),
    ),
    gauges(
      'weft_control_plane_reflector_silence_seconds',
      'Time since the API server was last heard of a kind; bookmarks count.',
      followed
        .filter(({ status }) => status.lastEventMs > 0)
        .map(({ kind, status }) => [kind, Math.max(0, nowMs - status.lastEventMs) / 1000]),
    ),
    counters(
      'weft_control_plane_reflector_lists_total',
      'kind',
      'Times that all objects of a kind were listed.',
      byKind(({ lists }) => lists),
    ),
    counters(
      'weft_control_plane_reflector_errors_total',
      'kind',
      'Lists and watches of a kind that failed.',
      byKind(({ errors }) => errors),
    ),
    counters('weft_control_plane_status_writes_total', 'result', 'Writes of route statuses, by result.', Object.entries(statuses)),
    counters('weft_control_plane_token_reviews_total', 'result', 'ServiceAccount tokens judged, by result.', Object.entries(reviews)),
  ];
}
